"""What a client of the assistant sends (002; deepwiki_and_stream.md B1 with the readings of B6). Keys that are not listed are ignored.

Types are the schema's; bounds are checked apart, since the document answers them in another form.
"""

from typing import Literal

from pydantic import BaseModel, Field, JsonValue

LONGEST = 10_000
MAX_TOKENS, TEMPERATURE = 1024, 0.7
_MOST_TOKENS = 1_000_000
_SESSION = 128


class Ask(BaseModel):
    """The body of both chat routes."""

    message: str = Field(description=f"What is said: 1 to {LONGEST} characters.")
    session_id: str | None = Field(None, description="A session of yours; absent: a new one, which every block names.")
    max_tokens: int | None = Field(MAX_TOKENS, description="The longest answer, in tokens.")
    temperature: float | None = Field(TEMPERATURE, description="0 to 2.")
    model_type: Literal["local_small", "cloud_large", "plugin", "auto_select"] | None = "auto_select"
    preferred_model: str | None = Field(None, description="A model of the chosen class.")
    stream: bool = Field(default=False, description="Accepted and ignored: the path says it.")
    context: dict[str, JsonValue] | None = Field(None, description="Accepted and ignored.")

    @property
    def tokens(self) -> int:
        """The longest answer; null means the default."""
        return MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def heat(self) -> float:
        """The temperature; null means the default, 0 is 0."""
        return TEMPERATURE if self.temperature is None else self.temperature

    def outside(self) -> str:
        """The first value outside its bounds, as a sentence; empty if there is none."""
        if not 1 <= len(self.message) <= LONGEST:
            return f"message: expected 1 to {LONGEST} characters"
        if not 0 <= self.heat <= 2:
            return "temperature: expected a number from 0 to 2"
        if not 1 <= self.tokens <= _MOST_TOKENS:
            return f"max_tokens: expected a number from 1 to {_MOST_TOKENS}"
        if self.session_id is not None and not 1 <= len(self.session_id) <= _SESSION:
            return f"session_id: expected 1 to {_SESSION} characters"
        return ""
