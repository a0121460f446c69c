"""What happens to a run.

These names are the storage format: rename a class freely, never a `type`.
"""

import json
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from events.envelope import Event, Fact, Protected, Value, Values

Mode = Literal["open", "debug"]
Audit = Literal["", "own", "parent"]
"""Whether what a run shows is judged before: not at all, by the run itself, or by the run that it works for."""
_INPUT = "AGENT_USER_INPUT"


class Usage(Value):
    """Tokens, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class Turn(Value):
    """One earlier message of a chat, as the caller sent it."""

    role: Literal["user", "assistant"]
    content: str
    content_type: Literal["text", "image", "audio"] = "text"


class ParentRun(Value):
    """The node run that started a run as its child. `depth` counts the runs above it.

    `as_tool`: a model called it, so that its end is an observation, what it shows is for nobody else, and it cannot ask people.
    """

    run: str
    node: str
    path: tuple[int, ...] = ()
    attempt: int
    depth: int
    as_tool: bool = False


class RunTerms(Fact):
    """What is wished of a run, and what was accepted: the pinned definition by hash, the parameters, the history.

    `subject` names whose words these are; `surface` is the dialect that asked (astron, agent, openai, …). `document` is the
    definition itself where no flow has it (a chat with a model, a bot); its secrets are references. `keys_of` is the app
    whose secrets they are, where it is not the caller's own. `parent` is there for a run that a node of another run started.
    `traceparent` is the request's place in its trace (W3C trace context), where it has one. `audit` says whose
    content audit its words pass.
    """

    run: str
    app: str
    subject: str
    uid: Protected[str]
    flow: str
    flow_version: str = ""
    definition: str
    document: dict[str, JsonValue] | None = None
    keys_of: str = ""
    mode: Mode
    surface: str
    stream: bool
    chat: str = ""
    parameters: Values
    history: Protected[tuple[Turn, ...]]
    ext: Protected[dict[str, JsonValue]]
    idempotency_key: str = ""
    parent: ParentRun | None = None
    traceparent: str = Field(default="", exclude_if=lambda trace: not trace)
    audit: Audit = Field(default="", exclude_if=lambda audit: not audit)

    @property
    def asked(self) -> str:
        """What the person asked: the parameter AGENT_USER_INPUT, else the first text among the parameters, else all of them as JSON."""
        words = self.parameters.words or {}
        texts = [value for _, value in sorted(words.items(), key=lambda item: item[0] != _INPUT) if isinstance(value, str)]
        if texts:
            return texts[0]
        return json.dumps(words, ensure_ascii=False) if words else ""


class RunStarted(RunTerms, Event):
    """A run was accepted. Everything that a replay needs is here.

    `remembered` are the last rounds of the run's chat, where the flow asks for them and the caller sent no history.
    """

    type: ClassVar[str] = "run.started"
    remembered: Protected[tuple[Turn, ...]] | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was said before: the caller's word, else what is remembered."""
        return self.history.words or (self.remembered.words if self.remembered else None) or ()


class RunCompleted(Event):
    """The run reached its end. `outputs` are those of the first terminal node."""

    type: ClassVar[str] = "run.completed"
    outputs: Values
    usage: Usage


class RunFailed(Event):
    """A node's failure, or the run's own, ended the run. `node` is empty where no node is to blame."""

    type: ClassVar[str] = "run.failed"
    code: int
    message: str
    node: str = ""
    usage: Usage = Usage()


class RunStepsExceeded(RunFailed):
    """The run was about to take more steps (node runs and steps of them) than its limit allows; it failed so."""

    type: ClassVar[str] = "run.steps_exceeded"
    limit: int


class RunTimedOut(Event):
    """The run was longer active than its limit allows."""

    type: ClassVar[str] = "run.timed_out"
    code: int
    message: str
    limit_ms: int
    usage: Usage = Usage()


class RunCancelled(Event):
    """Somebody asked for the end of the run."""

    type: ClassVar[str] = "run.cancelled"
    by: str
    code: int
    message: str
    usage: Usage = Usage()
