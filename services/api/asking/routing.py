"""Which model answers an assistant's message (deepwiki_and_stream.md B2 with the readings of B6): a pure decision with its reasons.

In comes what the caller wished and what there is; out goes the class and the model, or a `NoRoute`. An explicit class is never
exchanged for another: who asks for the local model gets the local model or an error. All rules read the message only; no
model is asked about it.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

ModelClass = Literal["local_small", "cloud_large"]
_CLASSES: tuple[ModelClass, ...] = ("local_small", "cloud_large")
_SHORT, _LONG = 20, 200
_WEB_ZH = ("最新", "今天", "现在", "新闻", "天气", "股价", "汇率")
_WEB = (*_WEB_ZH, "latest", "today", "right now", "news", "weather", "stock price", "exchange rate")
_TASK_ZH = ("分析", "设计", "代码", "算法", "写一", "编写", "教程", "实现", "优化", "快速排序")
_TASK_EN = ("analyse", "analyze", "design", "code", "algorithm", "write a", "write an", "tutorial", "implement", "refactor", "prove")
_TASK = (*_TASK_ZH, *_TASK_EN)
_GREETING = ("你好", "您好", "嗨", "谢谢", "再见", "早上好", "晚上好", "hello", "hi", "hey", "thanks", "thank you", "bye", "good morning")


class NoRoute(Exception):
    """There is no model for this wish. `wrong` says whether the wish itself cannot be granted (else nothing is set up for it)."""

    def __init__(self, message: str, *, wrong: bool) -> None:
        super().__init__(message)
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Offer:
    """Models by class; the first of each is its default."""

    local: tuple[str, ...]
    cloud: tuple[str, ...]

    def of(self, class_: ModelClass) -> tuple[str, ...]:
        """Those of a class."""
        return self.local if class_ == "local_small" else self.cloud


@dataclass(frozen=True, slots=True)
class Route:
    """What was decided, and why."""

    wished: str
    model_used: ModelClass
    model: str
    reasons: tuple[str, ...]

    def recorded(self) -> dict[str, Any]:
        """As it goes on the record of the run."""
        return {"wished": self.wished, "model_used": self.model_used, "model": self.model, "reasons": list(self.reasons)}


def route(message: str, wished: str, preferred: str, offer: Offer) -> Route:
    """The decision. `wished` is a class, `plugin` or `auto_select`; `preferred` a model's name or "". Raises `NoRoute`."""
    if wished == "plugin":
        raise NoRoute("model_type: there is no plugin here; expected local_small, cloud_large or auto_select", wrong=True)
    for explicit in _CLASSES:
        if wished == explicit:
            class_: ModelClass = explicit
            return Route(wished, class_, _named(class_, preferred, offer), (f"the caller asked for {class_}",))
    if preferred:
        having: ModelClass | None = next((one for one in _CLASSES if preferred in offer.of(one)), None)
        if having is None:
            raise NoRoute(_unknown(offer.local + offer.cloud), wrong=True)
        return Route(wished, having, preferred, ("the caller named the model",))
    class_, reason = _judged(message)
    reasons = (reason,)
    if not offer.of(class_):
        other: ModelClass = "cloud_large" if class_ == "local_small" else "local_small"
        reasons += (f"no {class_} model is set up, so {other} answers",)
        class_ = other
    return Route(wished, class_, _named(class_, "", offer), reasons)


def _judged(message: str) -> tuple[ModelClass, str]:
    text = message.lower().strip()
    if _has(text, _WEB):
        return "cloud_large", "the message asks about the present"
    if _has(text, _TASK):
        return "cloud_large", "the message sets a task"
    if len(text) > _LONG:
        return "cloud_large", f"the message has more than {_LONG} characters"
    if _has(text, _GREETING):
        return "local_small", "the message is a greeting"
    if len(text) < _SHORT:
        return "local_small", f"the message has fewer than {_SHORT} characters"
    return "cloud_large", "no rule is sure enough for the small model"


def _has(text: str, words: tuple[str, ...]) -> bool:
    """Whether a word occurs; in writings with spaces only as a whole word."""
    return any(re.search(rf"\b{re.escape(word)}\b", text) if word.isascii() else word in text for word in words)


def _named(class_: ModelClass, preferred: str, offer: Offer) -> str:
    models = offer.of(class_)
    if not models:
        raise NoRoute(f"model_type: no {class_} model is set up here", wrong=False)
    if preferred and preferred not in models:
        raise NoRoute(_unknown(models), wrong=True)
    return preferred or models[0]


def _unknown(models: tuple[str, ...]) -> str:
    return f"preferred_model: expected one of {', '.join(models) or 'none'} (GET /api/v1/models lists them)"
