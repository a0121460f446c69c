"""`chat-model`: asks a model with a list of messages. It is what chats without a flow of their own run: bots, the assistant, the wiki.

It is no kind of the flow language's original: its input `messages` holds roles and contents, and nothing is rendered.
"""

from typing import cast

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.values import text_of
from services.core.problems import Problem
from services.core.running.effects import ChatMessage, ModelRequest

THINKING = "REASONING_CONTENT"


class ChatModelParams(Params):
    """`url` is the OpenAI address of the model ("" = the process's own), `apiKey` a secret reference.

    `provider` names a provider instead. `system` goes before the messages as the system's.
    """

    model: str = ""
    url: str = ""
    api_key: str = Field(default="", alias="apiKey")
    provider: str = Field(default="", max_length=128)
    system: str = ""
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, gt=0, alias="maxTokens")
    extra: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], alias="extraParams")


def ask(node: Node, inputs: Inputs, asking: Asking) -> ModelRequest:
    """The system's words, then the messages as they are."""
    param = node.param
    assert isinstance(param, ChatModelParams)
    system = [ChatMessage("system", param.system)] if param.system else []
    return ModelRequest(
        app=asking.app,
        url=param.url,
        key=param.api_key,
        provider=param.provider,
        model=param.model,
        messages=(*system, *_messages(inputs.get("messages"))),
        temperature=param.temperature,
        max_tokens=param.max_tokens,
        extra=param.extra,
        recorded=asking.recorded,
        recorded_reasoning=asking.recorded_reasoning,
        quiet_ms=asking.quiet_ms,
    )


def _messages(given: JsonValue) -> list[ChatMessage]:
    messages = given if isinstance(given, list) else []
    return [
        ChatMessage(str(one.get("role", "user")), text_of(one.get("content")))
        for one in (cast("dict[str, JsonValue]", message) for message in messages if isinstance(message, dict))
    ]


def conclude(node: Node, content: str, reasoning: str) -> Finished:
    """Thinking goes to `REASONING_CONTENT`, the answer to every other output."""
    return Finished({one.name: reasoning if one.name == THINKING else content for one in node.outputs}, raw_output=content)


def check(node: Node) -> None:
    """It needs its one input, and a model where no provider has one."""
    param = node.param
    assert isinstance(param, ChatModelParams)
    if not param.model and not param.provider:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.model: a chat model needs a model, or a provider")
    if node.input("messages") is None:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: a chat model needs the input messages")


CHAT_MODEL = Kind(
    name="chat-model",
    params=ChatModelParams,
    ask=ask,
    conclude=conclude,
    streams=lambda _: True,
    retries=True,
    check=check,
)
