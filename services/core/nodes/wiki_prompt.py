"""`wiki-prompt`: composes what a model is asked about a repository (deepwiki_and_stream.md A8, prompt layout).

In come the conversation, the question, the round of a research and what was looked up; out go `messages` for a
`chat-model`: the system's words, and one message with history, file, passages and question in marked parts. Marks inside
foreign text are defused, so that no file can end its own part.
"""

import re
from collections.abc import Iterator
from typing import cast

from pydantic import JsonValue

from services.core.language.kind import Finished, Inputs, Kind, Node, Params
from services.core.language.values import text_of
from services.core.words.wiki_words import system

_MARKS = re.compile(r"<(/?(?:START_OF_CONTEXT|END_OF_CONTEXT|currentFileContent|conversation_history|turn|user|assistant|query|note))\b")
_NOTHING = "<note>Nothing was looked up in the repository for this question; answer without it and say so where it matters.</note>"

Object = dict[str, JsonValue]


def work(_node: Node, inputs: Inputs) -> Finished:
    """The messages."""
    research, repository = _object(inputs.get("research")), _object(inputs.get("repository"))
    number = research.get("number")
    told = system(
        text_of(repository.get("url", "")),
        text_of(inputs.get("language") or ""),
        deep=research.get("deep") is True,
        number=number if isinstance(number, int) else 1,
    )
    parts = (*_history(_objects(inputs.get("history"))), *_file(_object(inputs.get("file"))), _context(_objects(inputs.get("passages"))))
    asked = "\n\n".join((*parts, f"<query>\n{text_of(inputs.get('query'))}\n</query>"))
    return Finished({"messages": [{"role": "system", "content": told}, {"role": "user", "content": asked}]})


def _history(messages: list[Object]) -> Iterator[str]:
    """Turns by role: each question begins one, whatever stands between."""
    turns: list[list[str]] = []
    for message in messages:
        role, content = text_of(message.get("role", "")), text_of(message.get("content", ""))
        mark = "assistant" if role == "assistant" else "user"
        if mark == "user" or not turns:
            turns.append([])
        turns[-1].append(f"<{mark}>{_defused(content)}</{mark}>")
    if turns:
        inside = "\n".join("<turn>\n" + "\n".join(turn) + "\n</turn>" for turn in turns)
        yield f"<conversation_history>\n{inside}\n</conversation_history>"


def _file(file: Object) -> Iterator[str]:
    path = text_of(file.get("path", "")).replace('"', "'")
    if path and file.get("problem"):
        yield f"<note>The file {path} could not be read: {text_of(file['problem'])}.</note>"
    elif path:
        yield f'<currentFileContent path="{path}">\n{_defused(text_of(file.get("content", "")))}\n</currentFileContent>'


def _context(passages: list[Object]) -> str:
    """Passages by file in the order in which the files were found, inside a file by position."""
    if not passages:
        return _NOTHING
    files: dict[str, list[Object]] = {}
    for one in passages:
        files.setdefault(text_of(one.get("path", "")), []).append(one)
    sections = [f"## File Path: {path}\n\n" + "\n\n".join(map(_passage, sorted(found, key=_first))) for path, found in files.items()]
    return "<START_OF_CONTEXT>\n" + "\n\n---\n\n".join(sections) + "\n<END_OF_CONTEXT>"


def _first(passage: Object) -> int:
    first = passage.get("first")
    return first if isinstance(first, int) else 0


def _passage(passage: Object) -> str:
    return f"Lines {passage.get('first')} to {passage.get('last')}:\n{_defused(text_of(passage.get('text', '')))}"


def _defused(text: str) -> str:
    return _MARKS.sub("‹\\1", text)


def _object(value: JsonValue) -> Object:
    return cast("Object", value) if isinstance(value, dict) else {}


def _objects(value: JsonValue) -> list[Object]:
    return [_object(one) for one in value] if isinstance(value, list) else []


WIKI_PROMPT = Kind(name="wiki-prompt", params=Params, work=work)
