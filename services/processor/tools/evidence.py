"""What a tool call leaves on the record beside its result: when it went out, when it came back, digests, never words."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field

from pydantic import JsonValue

from events.node import Problem
from services.core.running.effects import ToolAnswered, ToolSent
from services.kit.outside.outward import CallFailed


def digest(value: JsonValue) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, no escapes)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Evidence:
    """One call. `request` is what goes out; only its digest is kept."""

    kind: str
    tool: str
    request: JsonValue
    attributes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    call: str = ""
    began: float = field(default_factory=_now)

    @property
    def sent(self) -> ToolSent:
        """It goes out now."""
        named: dict[str, JsonValue] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": self.tool}
        if self.call:
            named["gen_ai.tool.call.id"] = self.call
        return ToolSent(self.kind, self.tool, {**named, **self.attributes}, digest(self.request), self.call)

    def answered(self, result: JsonValue) -> ToolAnswered:
        """It came back."""
        return ToolAnswered({}, digest(result), self._took(), call=self.call)

    def failed(self, failure: CallFailed, code: int) -> ToolAnswered:
        """It failed."""
        problem = Problem(code=code, message=failure.message)
        return ToolAnswered({"error.type": failure.kind}, digest(None), self._took(), problem, self.call)

    def _took(self) -> int:
        return round((_now() - self.began) * 1000)
