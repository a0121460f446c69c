"""What a node kind is: a value that says how one kind of node checks itself, works, asks, and speaks.

A new kind is one file in `services.core.nodes`, one line in `services.core.language.kinds`, and one effect if it asks for work.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from events.envelope import Stage
from events.question import Option
from events.run import RunTerms, Turn
from services.core.language.document import InputPart, RetryConfig
from services.core.language.template import Unit
from services.core.language.values import Schema
from services.core.running.effects import FunctionCall, Request
from services.core.running.history import Budget
from services.core.running.run_state import Result

Inputs = Mapping[str, JsonValue]


class Params(BaseModel):
    """The parent of node parameters: unknown keys are ignored, types are strict where JSON has them."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input's value comes from: a literal, or an output (`node`, `name`) and keys below it."""

    literal: JsonValue = None
    node: str = ""
    name: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """A declared input."""

    id: str
    name: str
    type: str
    source: Source


@dataclass(frozen=True, slots=True)
class Output:
    """A declared output."""

    name: str
    required: bool
    schema: Schema
    file_type: JsonValue = None
    """`file` marks a parameter that holds links to files; `allowed` names what they may be."""
    allowed: JsonValue = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node as compiled: everything its kind needs, nothing of its neighbours."""

    id: str
    kind: "Kind"
    alias: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    param: Params
    retry: RetryConfig
    schema: str = ""
    """JSON Schema of all outputs together, as text."""

    def input(self, name: str) -> Input | None:
        """The input of this name."""
        return next((one for one in self.inputs if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Values of variables that outlive the run; `pool` as `services.core.variables` names it."""

    pool: str
    flow: str
    values: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Finished:
    """A node's result. `raw_output` is what a model said where that is not the output; `handle` the branch it chose.

    `remembered` is what later runs of the chat may read.
    """

    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    raw_output: str | None = None
    handle: str | None = None
    remembered: Remembered | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request may draw on beside the node and its inputs.

    `steps` are the results of the steps that are on the record (a model's: `content`, `reasoning`, `calls`; a person's:
    `event_type`, `content`; else the effect's outputs). `recorded` is what the step under way has said so far; `taken_over` that
    it began with an earlier owner, so that what was asked of the world may have been done already. `terms` are those of the run,
    `history` is what was said before, as far as the node is given it.
    """

    app: str
    quiet_ms: int
    recorded: str = ""
    recorded_reasoning: str = ""
    steps: tuple[Mapping[str, JsonValue], ...] = ()
    attempt: int = 1
    taken_over: bool = False
    terms: RunTerms | None = None
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an effect gave: the text of a model by stage and the functions it called, or outputs."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[FunctionCall, ...] = ()
    outputs: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """A further round, with the values its body's start node gives; `of` is how many there will be, where that is known."""

    values: dict[str, JsonValue]
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """How a node runs other nodes in rounds.

    `start` names the node its body begins with, which is of `start_kind`; the body ends in nodes of `end_kinds`, those of
    `exit_kinds` make their round the last. `next` says what follows when so many rounds began and these ended (by number, from
    0): a further round, the node's result, or None while others have to end first; it may raise `Problem`. `parallel` is how many
    rounds may be open at once, `survives` whether the node goes on after a round that failed.
    """

    start: Callable[["Node"], str]
    start_kind: str
    end_kinds: frozenset[str]
    next: Callable[["Node", Inputs, int, Mapping[int, Result]], "Next | Finished | None"]
    exit_kinds: frozenset[str] = frozenset()
    parallel: Callable[["Node"], int] = lambda _: 1
    survives: Callable[["Node"], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Query:
    """What a node puts to a person. `limit_ms` is how long it waits for an answer, `follow_up` how often it asked before."""

    kind: Literal["direct", "option"]
    text: str
    need_reply: bool
    limit_ms: int
    options: tuple[Option, ...] = ()
    follow_up: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """Work that a run of its own does: this version of a flow, pinned by hash, with these parameters.

    `owner` is the app whose flow it is; `history` is what it is told of the conversation. `as_tool`: a model called it, which
    reads how it ended (`Kind.observe`).
    """

    flow: str
    flow_version: str
    definition: str
    owner: str
    values: dict[str, JsonValue]
    history: tuple[Turn, ...] = ()
    as_tool: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """What an output node shows: units in order. `streamed` says whether they are shown one by one or all at the end.

    `outputs_as_json` is the end node's mode 0: no templates, the inputs as compact JSON.
    """

    reasoning: tuple[Unit, ...] = ()
    content: tuple[Unit, ...] = ()
    streamed: bool = True
    outputs_as_json: bool = False


def _nothing(_: Node) -> None:
    return None


def _no_budget(_node: Node, _inputs: Inputs) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One node kind.

    Exactly one of these is given: `work` (decided at once), `ask` (effects, people), `speak` (an output node), `body` (rounds).
    What becomes of an effect or an answer: with `stepwise` its result is recorded as a step and `ask` says what follows, a further
    request, a question to the person, or the node's result; else `receive` makes the result of what came, or `conclude` of the text
    alone, or its outputs are the node's.
    `observe` makes a step of the end of a run that was called as a tool, and says what people see of it.
    `work`, `ask`, `receive` and `conclude` may raise `Problem`, which fails the node without a further attempt.
    `limits_attempt`: `retryConfig.timeout` limits the whole attempt, not the silence between two pieces. `handles` are the branches
    of a node that chooses one: every edge that leaves it must carry one of them; `preset_handle` is the one
    that preset outputs take. `more_inputs` are inputs that its parameters hold.
    With `sees_absence` inputs that refer to nodes which did not run are null, not defaults.
    `rounds` is how many rounds of the earlier conversation a node is given (7), `budget` how much of them fits.
    `gates`: output nodes after this one wait for it (3.7, output dependencies). `streams`: its text may be shown as it comes,
    as the outputs that `stages` names (all, and thinking apart, where it is None).
    """

    name: str
    params: type[Params]
    work: Callable[[Node, Inputs], Finished] | None = None
    ask: Callable[[Node, Inputs, Asking], Request | Query | Call | Finished] | None = None
    stepwise: bool = False
    receive: Callable[[Node, Inputs, Answer], Finished] | None = None
    observe: Callable[[Node, Sequence[Mapping[str, JsonValue]], JsonValue], tuple[dict[str, JsonValue], str]] | None = None
    conclude: Callable[[Node, str, str], Finished] | None = None
    speak: Callable[[Node], Speech] | None = None
    body: Body | None = None
    gates: bool = False
    streams: Callable[[Node], bool] = lambda _: False
    stages: Mapping[str, Stage] | None = None
    retries: bool = False
    limits_attempt: bool = False
    handles: Callable[[Node], Collection[str] | None] | None = None
    preset_handle: Callable[[Node, Inputs], str | None] | None = None
    more_inputs: Callable[[Params], Sequence[InputPart]] | None = None
    sees_absence: bool = False
    rounds: Callable[[Node], int] = lambda _: 0
    budget: Callable[[Node, Inputs], Budget | None] = _no_budget
    check: Callable[[Node], None] = _nothing
