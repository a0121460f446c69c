"""The assistant's dialect (002; deepwiki_and_stream.md part B): what a message becomes, and the blocks of a run.

In come a checked request, the decided route and what was said before, or the accepted events of a run in order; out go a
command, or blocks as dictionaries. Pure. Thinking, nodes and progress are ignored on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from events.acceptance import Accepted
from events.commands import StartRun
from events.envelope import Protected, Values
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Turn
from services.api.answers.compact import record
from services.api.answers.details import detail
from services.api.answers.wrong import Body, Wrong
from services.api.asking.model_chat import Model, Said, document, parameters
from services.api.asking.routing import Route
from services.api.asking.subjects import subject_of
from services.api.following.shown import Screen
from services.api.requests.assistant import Ask
from services.core.language.definition import digest

Block = dict[str, Any]
ALIVE = b": alive\n\n"
_IN_A_BLOCK = frozenset({400, 429, 503})
_UNDECIDED = "auto_select"


@dataclass(frozen=True, slots=True)
class Memory:
    """What of a session goes to the model, and how much of it was left out (in messages)."""

    said: Sequence[Said] = ()
    left_out: bool = False
    tokens: int = 0


def to_command(ask: Ask, run: str, app: str, session: str, route: Route, url: str, memory: Memory, key: str = "") -> StartRun:
    """The wish to answer a message. The route with its reasons and the extent of the memory are recorded beside the definition."""
    subject = subject_of(app, chat=session)
    definition = document(Model(route.model, url=url, temperature=ask.heat, max_tokens=ask.tokens), name="assistant")
    noted: dict[str, JsonValue] = {
        "route": route.recorded(),
        "memory": {"messages": len(memory.said), "tokens": memory.tokens, "left_out": memory.left_out},
    }
    return StartRun(
        run=run,
        app=app,
        subject=subject,
        uid=Protected[str](subject=subject, words=""),
        flow="",
        definition=digest(definition),
        document=definition,
        mode="open",
        surface="assistant",
        stream=True,
        chat=session,
        parameters=Values(subject=subject, words=parameters([*memory.said, Said("user", ask.message)])),
        history=Protected[tuple[Turn, ...]](subject=subject, words=()),
        ext=Protected[dict[str, JsonValue]](subject=subject, words=noted),
        idempotency_key=key,
    )


def problem(wrong: Wrong, _now: int, _id: str) -> tuple[Body | bytes, int]:
    """What is semantically wrong or cannot be done now is a block, as 002's clients read it; everything else is `{"detail"}`."""
    if wrong.native in _IN_A_BLOCK:
        return record({"error": wrong.message, "content": ""}), wrong.native
    return detail(wrong), wrong.native


@dataclass
class Blocks:
    """The fold: feed it the events of one run from the first on."""

    session: str = ""
    model_used: str = _UNDECIDED
    reasoning: str = ""
    _began: int = 0
    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> list[Block]:
        """The blocks this event causes. The last one says `finished`, or has an `error`."""
        data, time = event.envelope.data, event.meta.time
        pieces = self._screen.show(data)
        match data:
            case RunStarted():
                self._begin(data, time)
                return []
            case RunCompleted():
                return [{**self._block(""), "finished": True, **self._about(time, data.usage.output_tokens)}]
            case RunFailed() | RunTimedOut() | RunCancelled():
                return [{**self._block(""), "error": data.message, "code": data.code}]
            case _:
                return [self._block(piece.text) for piece in pieces if piece.text and piece.stage == "content"]

    def _begin(self, data: RunStarted, time: int) -> None:
        self.session, self._began = data.chat, time
        match (data.ext.words or {}).get("route"):
            case {"model_used": str(used), "reasons": [*reasons]}:
                self.model_used, self.reasoning = used, "; ".join(map(str, reasons))
            case _:
                pass

    def _block(self, content: str) -> Block:
        return {"content": content, "session_id": self.session, "model_used": self.model_used}

    def _about(self, time: int, tokens: int) -> Block:
        said = datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds")
        return {"reasoning": self.reasoning, "token_count": tokens, "latency_ms": max(0, time - self._began), "timestamp": said}

    def last(self, time: int, tokens: int) -> Block:
        """What the last block and the whole answer say beside their content."""
        return self._about(time, tokens)


@dataclass
class Whole:
    """The one answer of the route that does not stream. A failure leaves what was said, with `error`."""

    _blocks: Blocks = field(default_factory=Blocks)
    _content: str = ""

    def take(self, event: Accepted) -> Block | None:
        """Take the next event; the answer once the last one came."""
        for block in self._blocks.feed(event):
            self._content += block["content"]
            if "finished" in block or "error" in block:
                about = self._blocks.last(event.meta.time, block.get("token_count", 0))
                whole = {**block, **about, "content": self._content, "confidence": None, "error": block.get("error")}
                whole.pop("finished", None)
                return whole
        return None
