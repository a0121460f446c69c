"""Flows that ask people, for tests over HTTP."""

from typing import Any

from tests.support.flows import Part, at, end, flow, llm, message, start

OPTIONS = (("t", "A", "Tea"), ("c", "B", "Coffee"), ("d", "default", ""))


def question(name: str, text: str, *, options: Any = (), timeout: float = 3, param: Any = None, outputs: Any = None, **inputs: Any) -> Part:
    """A question node; `options` are (id, name, text)."""
    known = {"query": "string", "content": "string", **({"id": {"type": "string", "default": "default"}} if options else {})}
    offered = [
        {"id": f"option-one-of::{id_}", "name": name_, "type": 1 if name_ == "default" else 2, "content_type": "string", "content": said}
        for id_, name_, said in options
    ]
    settings = {
        "question": text,
        "answerType": "option" if options else "direct",
        "timeout": timeout,
        "needReply": False,
        "directAnswer": {"handleResponse": False, "maxRetryCounts": 2},
        "optionAnswer": offered,
        **(param or {}),
    }
    return Part(name, "question-answer", inputs, {**known, **(outputs or {})}, settings)


def direct(**more: Any) -> dict[str, Any]:
    """Greets, asks for a name, says it."""
    return flow(
        start(AGENT_USER_INPUT="string"),
        message("hi", "Hello {{who}}. ", who=at("start.AGENT_USER_INPUT")),
        question("ask", "{{who}}, your name?", who=at("start.AGENT_USER_INPUT"), **more),
        end("Hi {{c}}", c=at("ask.content")),
        edges="start > hi > ask > end",
    )


def optional() -> dict[str, Any]:
    """Asks for a drink and says what was chosen."""
    ways = "; ".join(f"ask -option-one-of::{one}-> end" for one, _, _ in OPTIONS)
    return flow(
        start(AGENT_USER_INPUT="string"),
        question("ask", "Which drink?", options=OPTIONS),
        end("{{i}}={{c}}", i=at("ask.id"), c=at("ask.content")),
        edges=f"start > ask; {ways}",
    )


def then_a_model(account: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Asks, then hands the answer to a model."""
    return flow(
        start(AGENT_USER_INPUT="string"),
        question("ask", "Topic?", **more),
        llm("say", "{{c}}", param=account, c=at("ask.content")),
        end("{{out}}", out=at("say.output")),
        edges="start > ask > say > end",
    )
