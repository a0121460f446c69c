"""What is asked of a model provider and what it gives back, in the kit's own words.

In comes a `Question`; out comes a `Call`, which says what goes out before it goes, and then streams tokens and what
the provider tells about them. Failures are raised as `ModelFailed`, with a sentence that holds no key and no stack.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pydantic import JsonValue

from events.envelope import Stage
from events.run import Usage
from services.kit.errors import ProzessError

Shape = Literal["never", "prefill", "prefix", "vllm"]
EXTERNAL_MODEL = 20380


class ModelFailed(ProzessError):
    """A model did not give a whole answer.

    `code` is of the error table, `kind` a word for machines (`429`, `timeout`, `connection`, `length`, …), `temporary`
    says that trying again may help, `retry_after` is the provider's own advice, as it was sent.
    """

    def __init__(self, message: str, *, kind: str, code: int = EXTERNAL_MODEL, temporary: bool = False, retry_after: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.code = code
        self.temporary = temporary
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `url` as the node has it (may be empty), `key` resolved, `quiet_s` in seconds.

    `is_trusted` says that the operator set the address; `provider` and `revision` go on the record.

    `messages` are (role, content), `more` further fields of them by place. `tools` and `tool_choice` are as OpenAI has them.
    `recorded` and `recorded_reasoning` are on the record from an earlier attempt.
    """

    url: str
    model: str
    messages: tuple[tuple[str, str], ...]
    key: str = field(default="", repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    recorded: str = ""
    recorded_reasoning: str = ""
    quiet_s: float = 60.0
    more: Mapping[int, dict[str, JsonValue]] = field(default_factory=dict[int, dict[str, JsonValue]])
    tools: tuple[JsonValue, ...] = ()
    tool_choice: JsonValue = None
    is_trusted: bool = False
    provider: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """Some more text, never empty."""

    stage: Stage
    text: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """Some more of the function call with this number: its id and name come once, its arguments piece by piece."""

    number: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function that the model calls, whole."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Noted:
    """What the provider told about its answer. Fields that are empty say nothing."""

    id: str = ""
    model: str = ""
    finish_reason: str = ""
    usage: Usage | None = None
    attributes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def plus(self, more: "Noted") -> "Noted":
        """Both together; what is newer wins where both say something."""
        return replace(
            self,
            id=more.id or self.id,
            model=more.model or self.model,
            finish_reason=more.finish_reason or self.finish_reason,
            usage=more.usage or self.usage,
            attributes={**self.attributes, **more.attributes},
        )


Part = Token | Noted | Fragment | FunctionCall
"""What a provider sends; a `Call` puts fragments together before it hands them on."""


class Call(Protocol):
    """One call that is ready to go out."""

    @property
    def attributes(self) -> dict[str, JsonValue]:
        """OpenTelemetry GenAI attributes of the request; no words of anybody."""
        ...

    @property
    def body(self) -> dict[str, JsonValue]:
        """The request as it is sent, without the key."""
        ...

    @property
    def continues(self) -> Shape:
        """How recorded text is handed over; `never` where none is."""
        ...

    def stream(self) -> AsyncGenerator[Part, None]:
        """Send it and give what comes. Closing the generator ends the connection. Raises `ModelFailed`."""
        ...
