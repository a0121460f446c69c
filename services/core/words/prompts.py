"""What a model is told and may call: messages, functions, and calls of them."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function that a model calls: `arguments` as it wrote them, meant to be JSON."""

    id: str
    name: str
    arguments: str

    @property
    def words(self) -> dict[str, JsonValue]:
        """As a step's result tells it, and as a prompt repeats it."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt. `calls` are an assistant's, `answers` is the id of the call that a tool's message answers."""

    role: str
    content: str
    calls: tuple[FunctionCall, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, JsonValue]
