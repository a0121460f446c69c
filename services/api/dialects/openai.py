"""A run as OpenAI chat completion chunks, for readers that know nothing else.

In come accepted events; out go chunks of the text that is shown, a last one with the reason, then `[DONE]`. Nodes,
progress and the like are ignored on purpose.
"""

from dataclasses import dataclass, field
from typing import Any

from events.acceptance import Accepted
from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, Usage
from services.api.errors import named
from services.api.shown import Screen

Chunk = dict[str, Any]
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


@dataclass
class Chunks:
    """The fold: feed it the events of one run from the first on."""

    _id: str = ""
    _model: str = ""
    _screen: Screen = field(default_factory=Screen)

    def feed(self, event: Accepted) -> list[Chunk]:
        """The chunks this event causes."""
        data, time = event.envelope.data, event.meta.time
        pieces = self._screen.show(data)
        match data:
            case RunStarted():
                self._id, self._model = f"chatcmpl-{data.run}", data.flow
                return [self._chunk(time, {"role": "assistant", "content": ""})]
            case RunCompleted():
                return [{**self._chunk(time, {}, "stop"), "usage": _usage(data.usage)}]
            case RunFailed() | RunTimedOut() | RunCancelled():
                error = {"message": data.message, "type": "run_error", "code": data.code, **named(data.code)}
                return [{**self._chunk(time, {}, "stop"), "usage": _usage(data.usage), "error": error}]
            case _:
                return [self._chunk(time, {_FIELD[piece.stage]: piece.text}) for piece in pieces if piece.text]

    def _chunk(self, time: int, delta: dict[str, str], finish: str | None = None) -> Chunk:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": self._id, "object": "chat.completion.chunk", "created": time // 1000, "model": self._model, "choices": [choice]}


_FIELD = {"content": "content", "reasoning": "reasoning_content"}


def _usage(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": usage.total_tokens}
