"""What a client of the workflow chat sends (astron.md 1.5, 1.6). Keys that are not listed are ignored."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

MOST_VALUES, MOST_TURNS = 1_000, 2_000


class HistoryItem(BaseModel):
    """An earlier message, as the caller remembers it."""

    role: Literal["user", "assistant"]
    content: str
    content_type: Literal["image", "text", "audio"] | None = "text"


class Chat(BaseModel):
    """The body of both chat routes. Keys that are not listed are ignored.

    A client library of OpenAI sends `messages` as well; they are not read, but such a client gets its answer as it expects it.
    """

    flow_id: str = Field(description="Decimal id of the flow.")
    uid: str = Field("", max_length=40, description="Your end user.")
    stream: bool = Field(True, description="Frames as they come, or one answer.")
    messages: list[JsonValue] | None = Field(None, description="Of an OpenAI client: not read, then `stream` is false unless it is given.")
    ext: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], max_length=MOST_VALUES)
    parameters: dict[str, JsonValue] = Field(max_length=MOST_VALUES, description="Values of the start node's outputs.")
    chat_id: str = Field("", max_length=128)
    history: list[HistoryItem] = Field(default_factory=list[HistoryItem], max_length=MOST_TURNS)
    version: str = Field("", max_length=128, description="A published version; empty: the highest.")

    @property
    def of_openai(self) -> bool:
        """Whether a client library of OpenAI sent this."""
        return self.messages is not None

    @property
    def streams(self) -> bool:
        """Whether frames are wanted."""
        return self.stream and ("stream" in self.model_fields_set or not self.of_openai)


class Answer(BaseModel):
    """The body of both resume routes."""

    event_id: str
    event_type: str = "resume"
    content: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """Which definition a run runs."""

    flow: str
    version: str
    definition: str
    owner: str = ""
