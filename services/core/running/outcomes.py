"""What comes back of a request to the world, piece by piece: inputs of the decider."""

from dataclasses import dataclass

from pydantic import JsonValue

from events.envelope import Stage
from events.node import Problem
from events.run import Usage
from services.core.words.prompts import FunctionCall


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
class Retrieved:
    """What was looked up, as `context.retrieved` tells it. `passages` are (file, first line, last line)."""

    source: str
    revision: str
    files: int
    skipped: int
    passages: tuple[tuple[str, int, int], ...]
    digest: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class ToolSent:
    """The request to a tool went out, as `tool.called` tells it."""

    kind: str
    tool: str
    attributes: dict[str, JsonValue]
    request_digest: str
    call: str = ""


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """The tool's call ended, well or not, as `tool.returned` tells it."""

    attributes: dict[str, JsonValue]
    response_digest: str
    duration_ms: int
    problem: Problem | None = None
    call: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The effect succeeded; a model's text has come in pieces before. `outputs` are those of a node that is no model."""

    usage: Usage | None = None
    outputs: dict[str, JsonValue] | None = None
    calls: tuple[FunctionCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a start of a flow runs: ends the effect, as `Done` does. `owner` is the app whose flow it is."""

    flow: str
    version: str
    definition: str
    owner: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict of the content audit, as `audit.judged` tells it."""

    provider: str
    passed: bool
    action: str = ""
    categories: tuple[str, ...] = ()
    reference: str = ""
    tries: int = 1
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Broke:
    """The effect failed. `temporary` says that trying again may help."""

    problem: Problem
    temporary: bool = False


Outcome = Piece | Called | Responded | Retrieved | ToolSent | ToolAnswered | Done | Pinned | Judgement | Broke
