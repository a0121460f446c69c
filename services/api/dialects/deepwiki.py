"""The wiki's dialect (004; deepwiki_and_stream.md part A): what a question about a repository becomes, and the text of a run.

In come a checked question and who answers it, or the accepted events of a run in order; out go a command, or text that is
nothing but what the model says (`Raw`), or the same as objects (`Blocks`). Pure. Failures after the first word are text
here, as the document has them; thinking is ignored on purpose.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from events.acceptance import Accepted
from events.commands import StartRun
from events.envelope import Protected, Values
from events.node import NodeStarted
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Turn
from services.api.answers.details import detail
from services.api.answers.errors import named
from services.api.answers.wrong import Body, Wrong
from services.api.asking.subjects import subject_of
from services.api.asking.wiki_chat import MODEL, RETRIEVE, Asked, document
from services.api.following.shown import Screen
from services.api.requests.wiki import Question
from services.core.language.definition import digest
from services.core.words.research import round_of
from services.kit.retrieval.port import NOTHING

Block = dict[str, Any]
ALIVE = b": alive\n\n"
SURFACE = "deepwiki"
_PLAIN_ERRORS = frozenset({"google", "ollama"})
_Ended = RunFailed | RunTimedOut | RunCancelled


def to_command(question: Question, run: str, app: str, asked: Asked, *, url: str, token: str, key: str = "") -> StartRun:
    """The wish to answer. `url` is the address without credentials, `token` a secret's reference or ""."""
    subject = subject_of(app, run=run)
    definition = document(asked)
    round_ = round_of([(one.role, one.content) for one in question.messages])
    history: list[JsonValue] = [{"role": one.role, "content": one.content} for one in question.messages[:-1]]
    parameters: dict[str, JsonValue] = {
        "AGENT_USER_INPUT": round_.question,
        "history": history,
        "repository": {"url": url, "type": question.type or "", "token": token},
        "filters": {name: [*entries] for name, entries in question.filters.items()},
        "file": question.file_path or "",
        "language": question.language or "",
        "research": {"deep": round_.deep, "number": round_.number},
    }
    noted: dict[str, JsonValue] = {"provider": asked.provider, "label": asked.label, "variables": asked.variables}
    return StartRun(
        run=run,
        app=app,
        subject=subject,
        uid=Protected[str](subject=subject, words=""),
        flow="",
        definition=digest(definition),
        document=definition,
        mode="open",
        surface=SURFACE,
        stream=True,
        parameters=Values(subject=subject, words=parameters),
        history=Protected[tuple[Turn, ...]](subject=subject, words=()),
        ext=Protected[dict[str, JsonValue]](subject=subject, words=noted),
        idempotency_key=key,
    )


def problem(wrong: Wrong, _now: int, _id: str) -> tuple[Body, int]:
    """`{"detail"}`. JSON that cannot be read has `error` beside it, as the page's own proxy says it."""
    body = detail(wrong)
    if any(fault.kind == "json_invalid" for fault in wrong.faults):
        body["error"] = wrong.faults[0].said
    return body, wrong.native


def told(detail_: str) -> str:
    """A refusal as the socket tells it."""
    return detail_ if detail_.startswith("Error") else f"Error: {detail_}"


@dataclass
class Raw:
    """The fold: feed it the events of one run from the first on.

    `asked` is True once the model is asked; `refused` is the sentence of a run that ended before.
    """

    asked: bool = False
    refused: str = ""
    _is_wiki: bool = False
    _noted: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> str:
        """The text this event adds; a failure of a wiki's run is text as well."""
        data = event.envelope.data
        pieces = self._screen.show(data)
        match data:
            case RunStarted():
                self._is_wiki, self._noted = data.surface == SURFACE, data.ext.words or {}
                self.asked = not self._is_wiki
                return ""
            case NodeStarted():
                self.asked = self.asked or data.node == MODEL
                return ""
            case RunFailed() | RunTimedOut() | RunCancelled():
                return self._failed(data) if self._is_wiki else ""
            case _:
                return "".join(piece.text for piece in pieces if piece.stage == "content")

    def _failed(self, data: _Ended) -> str:
        if not self.asked:
            at = data.node if isinstance(data, RunFailed) else ""
            before = "Error preparing retriever" if at == RETRIEVE else "Error in streaming chat completion"
            self.refused = data.message if data.message == NOTHING else f"{before}: {data.message}"
            return told(self.refused)
        if self._noted.get("provider") in _PLAIN_ERRORS or not isinstance(data, RunFailed):
            return f"\nError: {data.message}"
        variables = self._noted.get("variables")
        hint = f"Please check that you have set {variables} in the environment with a valid value."
        if not variables:
            hint = f"Please check the address and the key of the provider {self._noted.get('provider')}."
        return f"\nError with {self._noted.get('label')} API: {data.message}\n\n{hint}"


@dataclass
class Blocks:
    """The same as objects, with an end that machines can read."""

    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> list[Block]:
        """The blocks this event causes; the last one says `finished`."""
        data = event.envelope.data
        pieces = self._screen.show(data)
        match data:
            case RunCompleted():
                return [{"content": "", "finished": True, "usage": data.usage.model_dump()}]
            case RunFailed() | RunTimedOut() | RunCancelled():
                error = {"code": data.code, "message": data.message, **named(data.code)}
                return [{"content": "", "finished": True, "error": error}]
            case _:
                return [{"content": piece.text} for piece in pieces if piece.text and piece.stage == "content"]
