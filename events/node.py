"""What happens to a node of a run. Each event names its node run: node id, path of rounds, attempt.

These names are the storage format.
"""

from typing import ClassVar, Literal

from pydantic import JsonValue

from events.envelope import Event, Protected, Stage, Value, Values, Words
from events.run import Turn, Usage

Awaits = Literal["nothing", "effect", "rounds", "person", "child"]
"""What a node run waits for: an effect, the rounds of its body, a person's answer, another run; `nothing` where it is decided at once."""

CHAT_HISTORY = "chatHistory"


class NodeEvent(Event):
    """The parent of all that happens to one node run. `path` holds the iteration and loop rounds around the node."""

    node: str
    path: tuple[int, ...] = ()
    attempt: int = 1


class Problem(Value):
    """What went wrong: the code of the error table and a sentence."""

    code: int
    message: str


class TextSeal(Value):
    """Length (characters) and SHA-256 of the text that a node streamed, by stage."""

    length: int
    digest: str


class NodeStarted(NodeEvent):
    """A node run began. `progress` is the share of the graph that is settled, 0 to 1.

    `inputs` is absent where they are not known yet (an output node that starts before what it shows).
    `recorded` says how many characters of an earlier attempt this one continues from. `awaits` is what it waits for from now
    on; records from before this field waited for an effect. `step` counts the steps that are on the
    record. `body` are the nodes that run inside its rounds. `history` is what of the earlier conversation the node is given.
    """

    type: ClassVar[str] = "node.started"
    kind: str
    alias: str
    progress: float
    reason: Literal["arrived", "retried", "taken_over"] = "arrived"
    recorded: int = 0
    inputs: Values | None = None
    awaits: Awaits = "effect"
    step: int = 0
    body: tuple[str, ...] = ()
    history: Protected[tuple[Turn, ...]] | None = None

    @property
    def shown_inputs(self) -> dict[str, JsonValue] | None:
        """The inputs as they are shown: with the history, where there is one, as `chatHistory`."""
        words = self.inputs.words if self.inputs else None
        turns = (self.history.words if self.history else None) or ()
        return {**(words or {}), CHAT_HISTORY: [turn.model_dump() for turn in turns]} if turns else words


class NodeStepCompleted(NodeEvent):
    """One step of a node run of several steps is done and on the record: a model's turn, a tool's result, a person's answer.

    `step` counts from 1; `result` is what later steps draw on; `awaits` is what the node waits for next.
    """

    type: ClassVar[str] = "node.step_completed"
    step: int
    result: Values
    usage: Usage | None = None
    awaits: Awaits = "nothing"


class ChildStarted(NodeEvent):
    """The node run handed its work to a run of its own: this version of this flow, pinned by hash. `run.started` of the child follows.

    What the child shows comes as text of this node run, its questions as questions of this node run; where a model called it as
    a tool, only its end comes, as a step's result.
    """

    type: ClassVar[str] = "child.started"
    child: str
    flow: str
    flow_version: str
    definition: str


class RoundOpened(NodeEvent):
    """A round of an iteration or loop began. `round` counts from 0 and is the next element of its nodes' paths.

    `of` is how many rounds there will be, where that is known; `values` is what the body's start node gives.
    """

    type: ClassVar[str] = "round.opened"
    round: int
    values: Values
    of: int | None = None


class RoundCompleted(NodeEvent):
    """A round ended. `outputs` are those of the body's end; `exit` says that it is the last one (a loop was left).

    `problem` is there when the round failed and the others go on.
    """

    type: ClassVar[str] = "round.completed"
    round: int
    outputs: Values
    exit: bool = False
    problem: Problem | None = None


class NodeCompleted(NodeEvent):
    """A node run ended well, or its failure was handled (then `problem` says what it was).

    `handle` is the branch that was chosen, `took_failure_edge` that the failure edges are followed instead.
    """

    type: ClassVar[str] = "node.completed"
    progress: float
    outputs: Values
    inputs: Values | None = None
    raw_output: Words | None = None
    usage: Usage | None = None
    content: TextSeal | None = None
    reasoning: TextSeal | None = None
    handle: str | None = None
    problem: Problem | None = None
    took_failure_edge: bool = False


class NodeFailed(NodeEvent):
    """An attempt failed.

    `then` is what the node's settings say: another attempt, preset outputs, the failure edge,
    the end of the round alone, or the end of the run.

    `kind` and `alias` are given where the node never started (a start node whose parameters are wrong). `again_at` is when
    the next attempt begins (ms since 1970), where it does not begin at once. `usage` is what the failed attempt has cost.
    """

    type: ClassVar[str] = "node.failed"
    problem: Problem
    then: Literal["retry", "preset", "branch", "round", "end"]
    progress: float
    kind: str = ""
    alias: str = ""
    inputs: Values | None = None
    again_at: int | None = None
    usage: Usage | None = None


class NodeTimedOut(NodeEvent):
    """Nothing came from the node's effect for `limit_ms`. What follows is a `node.failed` of the same attempt."""

    type: ClassVar[str] = "node.timed_out"
    limit_ms: int


class NodeSkipped(NodeEvent):
    """No path can reach the node any more; `by` is the node whose decision made it so."""

    type: ClassVar[str] = "node.skipped"
    by: str


class ModelCalled(NodeEvent):
    """Evidence: a request went to a model. Names follow the OpenTelemetry GenAI conventions; no words, only a digest."""

    type: ClassVar[str] = "model.called"
    attributes: dict[str, JsonValue]
    request_digest: str
    continues: str


class ModelResponded(NodeEvent):
    """Evidence: what came back. `problem` is there when the call failed."""

    type: ClassVar[str] = "model.responded"
    attributes: dict[str, JsonValue]
    response_digest: str
    duration_ms: int
    first_token_ms: int | None = None
    problem: Problem | None = None


class PassageAt(Value):
    """Where a passage stands: the file inside its source, first and last line from 1."""

    path: str
    first: int
    last: int


class ContextRetrieved(NodeEvent):
    """Evidence: what was looked up for a prompt. No words of it, only where they stand and the SHA-256 of them all.

    `source` is named without credentials, `revision` is a digest of everything that was read (a commit for a clone),
    `skipped` counts files that are too large or no text.
    """

    type: ClassVar[str] = "context.retrieved"
    source: str
    revision: str
    files: int
    skipped: int
    passages: tuple[PassageAt, ...]
    digest: str
    duration_ms: int


class ToolCalled(NodeEvent):
    """Evidence: a request went to a tool (an HTTP service, an MCP server, a database). No words, only a digest.

    `tool` is its name, `kind` how it is called; `call` tells several calls of one node run apart.
    """

    type: ClassVar[str] = "tool.called"
    kind: str
    tool: str
    call: str = ""
    attributes: dict[str, JsonValue]
    request_digest: str


class ToolReturned(NodeEvent):
    """Evidence: what came back. `problem` is there when the call failed."""

    type: ClassVar[str] = "tool.returned"
    call: str = ""
    attributes: dict[str, JsonValue]
    response_digest: str
    duration_ms: int
    problem: Problem | None = None


class VariablesStored(NodeEvent):
    """Variables that outlive their run took these values, by name; others stay as they were.

    `pool` is a digest of whose they are: app, person, chat (or the run alone, where it has none), and `flow`.
    """

    type: ClassVar[str] = "variables.stored"
    pool: str
    flow: str
    values: Values


class OutputOpened(NodeEvent):
    """An output node (message, end) has the floor: from here on its text is shown."""

    type: ClassVar[str] = "output.opened"


class DeltaRange(Value):
    """Deltas of one node run and stage by ordinal: `start` counts from 0, `stop` is not included."""

    node: str
    path: tuple[int, ...] = ()
    stage: Stage
    start: int
    stop: int


class OutputReleased(NodeEvent):
    """One unit (by ordinal, thinking first), or recorded deltas for it, is shown: `text` itself or `of` earlier deltas, never both."""

    type: ClassVar[str] = "output.released"
    unit: int
    stage: Stage
    text: Words | None = None
    of: DeltaRange | None = None


class OutputHeld(NodeEvent):
    """What an output node would show, and nobody sees before it was judged (see `events.audit`). `what` it does with the floor.

    `output.opened`, `output.released` and `output.closed` follow, as far as it passes.
    """

    type: ClassVar[str] = "output.held"
    what: Literal["opened", "text", "closed"]
    unit: int = 0
    stage: Stage = "content"
    text: Words | None = None
    of: DeltaRange | None = None


class OutputClosed(NodeEvent):
    """The output node yields the floor. `text` is its last unit, which rides on the node's end frame."""

    type: ClassVar[str] = "output.closed"
    text: Words
