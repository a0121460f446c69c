"""What a client of the agent sends: chats in two forms, and what a bot is (astron.md 2.1, 2.2, 2.4).

The running system's form has `messages`; document 001's form has `parameters` instead, with sampling options and a
timestamp. Both come out as `said`. Keys that are not listed are ignored.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from services.api.asking.model_chat import Said

_QUESTIONS = ("input", "query", "question", "AGENT_USER_INPUT")
_OPTIONS = ("temperature", "max_tokens", "top_k", "top_p", "repetition_penalty", "stop_sequences", "seed")


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)


def _alternating(messages: list[Message]) -> list[Message]:
    for number, message in enumerate(messages):
        expected = "assistant" if number % 2 else "user"
        if message.role != expected:
            raise PydanticCustomError(
                "value_error", "message {number} should be the {expected}'s", {"number": number, "expected": expected}
            )
    if messages[-1].role != "user":
        raise PydanticCustomError("value_error", "the last message should be the user's")
    return messages


Messages = Annotated[list[Message], Field(min_length=1), AfterValidator(_alternating)]
_MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(Messages)


class Caller(BaseModel):
    """Who asks, in the caller's words. `ping` asks for `{"ping":"pong"}` blocks."""

    caller: str = Field("chat_open_api", max_length=64)
    caller_sid: str = Field("", max_length=128)
    timestamp: float | None = Field(None, description="When the caller asked, as it counts time; recorded, not looked at.")
    ping: bool = False


class Sampling(BaseModel):
    """How the model is asked (001); what is absent is the bot's or the model's own."""

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, gt=0)
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] | None = Field(None, max_length=16)
    seed: int | None = None


class Chat(Sampling):
    """What both chats have. Send `messages`, or `parameters` with `messages` or one of `input`, `query`, `question`, `AGENT_USER_INPUT`."""

    uid: str = Field("", max_length=64)
    messages: Messages | None = None
    parameters: dict[str, JsonValue] | None = None
    stream: bool = False
    meta_data: Caller = Field(default_factory=lambda: Caller.model_validate({}))

    @property
    def is_documents(self) -> bool:
        """Whether the request has the form of document 001."""
        return self.messages is None

    @property
    def said(self) -> list[Said]:
        """The messages, whichever form they came in."""
        return [Said(one.role, one.content) for one in self.messages or _asked(self.parameters or {})]

    @property
    def sampling(self) -> Sampling:
        """The options, from the body or from `parameters`."""
        inside = {name: value for name, value in (self.parameters or {}).items() if name in _OPTIONS}
        return Sampling.model_validate({**inside, **self.model_dump(include=set(_OPTIONS), exclude_none=True)})

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.messages is None and self.parameters is None:
            raise PydanticCustomError("missing", "messages: field required")
        if self.messages is not None and self.parameters is not None:
            raise PydanticCustomError("value_error", "messages and parameters: expected one of them")
        try:
            if self.messages is None:
                _asked(self.parameters or {})
            _ = self.sampling
        except ValidationError as wrong:
            first = wrong.errors()[0]
            where = ".".join(("parameters", *map(str, first["loc"])))
            raise PydanticCustomError("value_error", "{where}: {said}", {"where": where, "said": first["msg"]}) from None
        for name in _OPTIONS:
            if _differs(self, name):
                raise PydanticCustomError("value_error", "{name}: the body and parameters say different things", {"name": name})
        return self


def _differs(chat: Chat, name: str) -> bool:
    inside = (chat.parameters or {}).get(name)
    return None not in (inside, getattr(chat, name)) and inside != getattr(chat, name)


def _asked(parameters: dict[str, JsonValue]) -> list[Message]:
    """The messages of 001's form. Raises `ValidationError` and `PydanticCustomError`."""
    if "messages" in parameters:
        return _MESSAGES.validate_python(parameters["messages"])
    name = next((name for name in _QUESTIONS if name in parameters), None)
    if name is None:
        raise PydanticCustomError("missing", "parameters: expected messages, or one of input, query, question, AGENT_USER_INPUT")
    text = parameters[name]
    if not isinstance(text, str) or not text:
        raise PydanticCustomError("value_error", "parameters.{name}: expected a text that is not empty", {"name": name})
    return [Message(role="user", content=text)]


class BotChat(Chat):
    """The body of a chat with a bot."""

    bot_id: str = Field(min_length=1, max_length=64)


def named(domain: str, provider: str) -> None:
    """A model is named, or a provider that has one. Raises what pydantic tells of a text that is too short."""
    if not domain and not provider:
        raise PydanticCustomError("string_too_short", "domain: String should have at least 1 character, where no provider is named")


class ModelPart(BaseModel):
    """A model of the OpenAI protocol; `api` is its base URL, `provider` names one instead."""

    domain: str = Field(max_length=1024)
    api: str = Field(max_length=2048)
    api_key: str = Field("", max_length=4096)
    provider: str = Field("", max_length=128)

    @model_validator(mode="after")
    def _some_model(self) -> Self:
        named(self.domain, self.provider)
        return self


class Instruction(BaseModel):
    """What the model is told. Without plugins only `answer` is used."""

    reasoning: str = ""
    answer: str = ""


class Knowledge(BaseModel):
    """A knowledge base to look into."""

    name: str = Field(min_length=1, max_length=128)
    description: str = Field("", max_length=1024)
    top_k: int = Field(3, ge=1, le=5)
    match: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    repo_type: int = Field(1, ge=1, le=3)


class Plugins(BaseModel):
    """What the model may use."""

    tools: list[str | dict[str, JsonValue]] = Field(default_factory=list[Any])
    mcp_server_ids: list[str] = Field(default_factory=list[str])
    mcp_server_urls: list[str] = Field(default_factory=list[str])
    workflow_ids: list[str] = Field(default_factory=list[str])
    knowledge: list[Knowledge] = Field(default_factory=list[Knowledge])


class CustomChat(Chat):
    """The body of a chat that brings its model along (2.2). It is always streamed."""

    model_config = ConfigDict(protected_namespaces=())
    model: ModelPart = Field(alias="model_config")
    instruction: Instruction = Field(default_factory=lambda: Instruction.model_validate({}))
    plugin: Plugins = Field(default_factory=lambda: Plugins.model_validate({}))
    max_loop_count: int = Field(ge=1, le=1000)
