"""What a client of the OpenAI door sends. What this version cannot do is refused by name; other unknown keys are ignored.

`parameters` and `chat_id` are ours: further start parameters of a flow, and the chat that a run belongs to.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from services.api.asking.model_chat import Model, Said

_PASSED_ON = (
    "frequency_penalty", "logit_bias", "max_completion_tokens", "presence_penalty", "reasoning_effort", "repetition_penalty",
    "response_format", "seed", "stop", "top_k", "top_p",
)  # fmt: skip
_NOT_YET = ("audio", "function_call", "functions", "logprobs", "modalities", "tools", "top_logprobs", "web_search_options")


class Part(BaseModel):
    """A part of a message. Only texts are taken."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    @property
    def text(self) -> str:
        """All of it."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream carries beside the text."""

    include_usage: bool = False


class Completion(BaseModel):
    """The body of a chat completion. `model` is a flow's id, a bot's id, a model of the process's own endpoint, or `<provider>/<model>`."""

    model: str = Field(min_length=1, max_length=1024)
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, gt=0)
    max_completion_tokens: int | None = Field(None, gt=0)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = Field(None, max_length=32)
    response_format: dict[str, JsonValue] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Literal[1] | None = None
    user: Annotated[str, Field(max_length=64)] = ""
    chat_id: str = Field("", max_length=128)
    parameters: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    @model_validator(mode="before")
    @classmethod
    def _not_yet(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name in _NOT_YET:
                if given.get(name):  # pyright: ignore[reportUnknownMemberType] (any JSON)
                    raise PydanticCustomError("not_available", "{name}: not available yet", {"name": name})
        return given  # pyright: ignore[reportUnknownVariableType] (any JSON)

    @model_validator(mode="after")
    def _somebody_asks(self) -> Self:
        if not any(one.role == "user" and one.text for one in self.messages):
            raise PydanticCustomError("missing", "messages: expected a user's message that is not empty")
        return self

    @property
    def said(self) -> list[Said]:
        """The messages as a model gets them."""
        return [Said(one.role, one.text) for one in self.messages]

    def asks(self, model: Model) -> Model:
        """The model, asked with the options of this request."""
        extra = {**model.extra, **self.model_dump(mode="json", include=set(_PASSED_ON), exclude_none=True)}
        return replace(
            model,
            temperature=model.temperature if self.temperature is None else self.temperature,
            max_tokens=model.max_tokens if self.max_tokens is None else self.max_tokens,
            extra=extra,
        )
