"""What a started node asks of the world, and what comes back. Values only; the doing is in `services.processor.effects`.

A request is derived from the run's state, so that the next owner asks the same. Outcomes are inputs of the decider.
"""

from dataclasses import dataclass, field

from pydantic import JsonValue

from events.envelope import Stage
from events.node import Problem
from events.run import Usage


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Ask a model for text. `url` is the OpenAI base URL ("" = the process's own), `key` a secret reference, a value, or "".

    `recorded` and `recorded_reasoning` are what an earlier attempt of this node already has on the record.
    `quiet_ms` is how long the model may stay silent before the first and between two pieces.
    """

    app: str
    url: str
    key: str
    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    recorded: str = ""
    recorded_reasoning: str = ""
    quiet_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class NoopRequest:
    """Ask for nothing: an effect that exists for `make bench` only."""


Request = ModelRequest | NoopRequest


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more text."""

    stage: Stage
    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """The request went out. `continues` is `never`, or how the recorded text was handed over."""

    attributes: dict[str, JsonValue]
    request_digest: str
    continues: str


@dataclass(frozen=True, slots=True)
class Responded:
    """The call ended, well or not."""

    attributes: dict[str, JsonValue]
    response_digest: str
    duration_ms: int
    first_token_ms: int | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The effect succeeded; a model's text has come in pieces before."""

    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Broke:
    """The effect failed. `temporary` says that trying again may help."""

    problem: Problem
    temporary: bool = False


Outcome = Piece | Called | Responded | Done | Broke
