"""The words of an agent: what its model is told about tools and knowledge, and how a tool's use is shown to people."""

import json
from collections.abc import Sequence

from pydantic import JsonValue

from services.core.language.values import encodable, text_of
from services.core.running.effects import FunctionCall, Tool
from services.core.words.react import ACTION, ANSWER, INPUT, OBSERVATION, THOUGHT

LONGEST = 16_000
"""Characters of a tool's result that the model reads."""


def system(reasoning: str, answer: str, tools: Sequence[Tool], passages: Sequence[JsonValue], *, is_react: bool) -> str:
    """The system message; empty where there is nothing to say."""
    parts: list[str] = []
    if passages:
        parts.append("What is known about the question:\n" + "\n".join(text_of(one) for one in passages))
    if tools and is_react:
        parts.append(_react(tools))
    if tools and reasoning:
        parts.append(f"How to think:\n{reasoning}")
    if answer:
        parts.append(f"How to answer:\n{answer}" if tools or passages else answer)
    return "\n\n".join(parts)


def _react(tools: Sequence[Tool]) -> str:
    listed = "\n".join(f"- {one.name}: {one.description} Input: {json.dumps(one.parameters, ensure_ascii=False)}" for one in tools)
    names = ", ".join(one.name for one in tools)
    return (
        f"Answer the question as well as you can. You may use these tools:\n{listed}\n\n"
        "Write in this form and no other:\n"
        f"{THOUGHT} what to do next\n"
        f"{ACTION} one of {names}\n"
        f"{INPUT} the tool's input as a JSON object\n"
        f"Then stop. You will be given `{OBSERVATION} …`, the tool's result. Repeat this as often as needed. When you know enough:\n"
        f"{THOUGHT} I know the answer\n"
        f"{ANSWER} the answer to the question"
    )


def last_words() -> str:
    """What the model is told when it may use no more tools."""
    return "No more tools can be used. Give the best answer that the results so far allow, and nothing else."


def observed(result: JsonValue) -> str:
    """A tool's result as the model reads it."""
    text = text_of(result)
    return text if len(text) <= LONGEST else text[:LONGEST] + f"… ({len(text)} characters in all)"


def used(kind: str, call: FunctionCall, reason: str, response: JsonValue, *, shows: bool) -> dict[str, JsonValue]:
    """A tool's use as a step's result: what was called, what came, and what people see of it."""
    text = encodable(shown(kind, call.name, reason, call.arguments, response)) if shows else ""
    told: dict[str, JsonValue] = {"type": kind, "name": call.name, "arguments": encodable(call.arguments), "reason": reason}
    return {**told, "response": response, "shown": text}


def shown(kind: str, name: str, reason: str, arguments: str, response: JsonValue) -> str:
    """A tool's use as people read it in the reasoning: bold kind, quoted reason, and a block of JSON."""
    quoted = "".join(f"> {line}\n" for line in reason.strip().splitlines())
    told = json.dumps({"name": name, "arguments": arguments, "response": response}, ensure_ascii=False, indent=2)
    return f"\n**{kind}**\n{quoted}\n```json\n{told}\n```\n"
