"""What all nodes that ask a model have in common: their parameters, the request, and the JSON inside an answer.

In come a node's parameters and messages; out goes a `ModelRequest`. What a model answered is read with patience: a fenced
block, or the text itself.
"""

from typing import Literal, cast

from pydantic import Field, JsonValue

from services.core.language.kind import Asking, Inputs, Params
from services.core.language.patterns import pattern
from services.core.language.template import parse, render
from services.core.language.values import read
from services.core.running.effects import ChatMessage, ModelRequest, Tool
from services.core.running.history import Budget, ChatHistory

OPENAI = "openai"
_FENCE = "```"


class ModelParams(Params):
    """Parameters as the console writes them. `url` is the OpenAI address of the model, `apiKey` a secret reference.

    `provider` names a provider instead; a node of the source xinghuo asks the provider of that name, whatever its `url` is.
    """

    model: str
    domain: str
    app_id: str = Field(alias="appId")
    api_key: str = Field(alias="apiKey")
    api_secret: str = Field(alias="apiSecret")
    url: str = ""
    source: Literal["xinghuo", "openai"] = "xinghuo"
    provider: str = Field(default="", max_length=128)
    temperature: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=2048, gt=0, alias="maxTokens")
    extra: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], alias="extraParams")
    history: ChatHistory = Field(default_factory=ChatHistory, alias="enableChatHistoryV2")

    def budget(self, *texts: str) -> Budget:
        """What a history has to fit into, beside these texts."""
        return Budget(self.domain or self.model, self.max_tokens, texts)

    def request(
        self, asking: Asking, messages: tuple[ChatMessage, ...], tools: tuple[Tool, ...] = (), tool_choice: str = ""
    ) -> ModelRequest:
        """What the model is asked."""
        is_openai = self.source == OPENAI
        return ModelRequest(
            app=asking.app,
            url=self.url if is_openai else "",
            key=self.api_key,
            provider=self.provider or ("" if is_openai else self.source),
            caller=caller_of(asking, self.source),
            secret="" if is_openai else self.api_secret,
            model=self.domain or self.model,
            messages=messages,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            extra=self.extra,
            recorded=asking.recorded,
            recorded_reasoning=asking.recorded_reasoning,
            quiet_ms=asking.quiet_ms,
            tools=tools,
            tool_choice=tool_choice,
        )


def caller_of(asking: Asking, source: str) -> str:
    """The calling app, where its credentials take the place of the node's (6.7): in open runs, for every source but openai."""
    terms = asking.terms
    return terms.app if terms is not None and terms.mode == "open" and source != OPENAI else ""


def earlier(asking: Asking) -> list[ChatMessage]:
    """What was said before, as messages of a prompt."""
    return [ChatMessage(turn.role, turn.content) for turn in asking.history]


def rendered(template: str, inputs: Inputs) -> str:
    """A template with the node's inputs."""
    return render(parse(template, inputs.keys()), inputs.__getitem__)


def object_in(content: str, written: str = "") -> dict[str, JsonValue] | None:
    """The JSON object in an answer: what the pattern finds, else a fenced block, else all of it. None where that is no object."""
    found = pattern(written, "the pattern").found_in(content) if written else None
    if found is None:
        found = _fenced(content)
    try:
        answer = read(found)
    except ValueError:
        return None
    return cast("dict[str, JsonValue]", answer) if isinstance(answer, dict) else None


def _fenced(content: str) -> str:
    """The first fenced block of an answer, without its language; all of it where there is none."""
    _, opening, rest = content.partition(_FENCE)
    inner, closing, _ = rest.partition(_FENCE)
    return inner.removeprefix("json").strip() if opening and closing else content
