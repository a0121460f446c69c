"""What went wrong with a call, as one sentence with a code of the error table.

In come the client library's errors and error objects inside a stream; out go `ModelFailed`s. The provider's own text is
kept, at most 300 characters of it, without the key and without the words that were asked. Everything is 20380, except
the numbers and names below, which mean the same as an entry of the table.
"""

import re
from http import HTTPStatus
from typing import cast

import httpx2
import openai

from services.kit.models.endpoint import Endpoint
from services.kit.models.port import EXTERNAL_MODEL, ModelFailed, Question
from services.kit.outside.egress import EgressRefused

_TEXT = 300
_TELLING = 8
_SPARK = (10006, 10007, 10008, 10009, 10010, 10011, 10012, 10013, 10014, 10015, 10016, 10017, 10019, 10110, 10163, 10222, 10907)
_CODES = {str(theirs): 20356 + n for n, theirs in enumerate((*_SPARK, 11200, 11201, 11202, 11203))} | {
    "content_filter": 20363,
    "content_policy_violation": 20363,
    "context_length_exceeded": 20372,
    "engine_overloaded_error": 20369,
    "insufficient_quota": 20366,
    "overloaded_error": 20369,
}
_AGAIN = {408, 409, 425, 429}
_AGAIN_CODES = {20357, 20358, 20359, 20360, 20361, 20362, 20369, 20371, 20375, 20376}
_FINAL_CODES = {20363, 20364, 20365, 20366, 20372, 20373, 20374}


def translated(error: Exception, endpoint: Endpoint, question: Question) -> ModelFailed:
    """The failure behind an error of the client library. What is not one is raised again as it is."""
    match error:
        case ModelFailed():
            return error
        case openai.APIStatusError():
            return _status(error, endpoint, question)
        case EgressRefused():
            return ModelFailed(f"the model at {endpoint.name} is not asked: {error}", kind="refused")
        case openai.APIConnectionError() if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
            reason = _clip(str(error.__cause__)) or "no answer to the connection"
            return ModelFailed(f"the model at {endpoint.name} cannot be reached ({reason})", kind="connection", temporary=True)
        case TimeoutError() | openai.APITimeoutError():
            silence = f"the model at {endpoint.name} was silent (no token for {question.quiet_s:g} s)"
            return ModelFailed(silence, kind="timeout", temporary=True)
        case openai.APIConnectionError() | httpx2.HTTPError():
            return ModelFailed(f"the connection to the model at {endpoint.name} was cut off", kind="connection", temporary=True)
        case openai.APIError():
            return told(error.body, question, endpoint)
        case UnicodeEncodeError():
            return ModelFailed("the request to the model holds text that cannot be sent (not valid Unicode)", kind="request")
        case ValueError() | RecursionError():
            return ModelFailed(f"the model at {endpoint.name} sent something that is not JSON", kind="protocol", temporary=True)
        case _:
            raise error


def told(body: object, question: Question, endpoint: Endpoint) -> ModelFailed:
    """The failure behind an error object that came within the stream, or with status 200."""
    code = _code(body)
    text = _text(body, question)
    message = f"the model at {endpoint.name} broke off its answer" + (f": {text}" if text else "")
    return ModelFailed(message, kind=_code_name(body) or "error", code=code, temporary=code not in _FINAL_CODES)


def _status(error: openai.APIStatusError, endpoint: Endpoint, question: Question) -> ModelFailed:
    status, code = error.status_code, _code(error.body)
    text = _text(error.body, question)
    message = f"the model at {endpoint.name} answered {status} {_phrase(status)}".rstrip() + (f": {text}" if text else "")
    if status in {401, 403} and not question.key:
        message += " (no key was given: set the node's apiKey, or OPENAI_API_KEY for the process's own endpoint)"
    again = code in _AGAIN_CODES or ((status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR) and code not in _FINAL_CODES)
    retry_after = error.response.headers.get("retry-after", "")[:40]
    return ModelFailed(message, kind=str(status), code=code, temporary=again, retry_after=retry_after)


def _code(body: object) -> int:
    """An entry of the error table where the provider's own code says the same thing; a phrase or a bare status does not."""
    return _CODES.get(_code_name(body), EXTERNAL_MODEL)


def _code_name(body: object) -> str:
    found = _fields(body)
    names = [str(found.get(name) or "") for name in ("code", "type")]
    name = next((name for name in names if name in _CODES), names[0] or names[1])
    return name if re.fullmatch(r"[\w.:-]{1,60}", name) else ""


def _text(body: object, question: Question) -> str:
    found = _fields(body)
    texts = [body, *(found.get(name) for name in ("message", "detail", "error"))]
    text = next((text for text in texts if isinstance(text, str)), "")
    return "" if text.lstrip().startswith("<") else _clip(_without(text, question))


def _fields(body: object) -> dict[str, object]:
    return cast("dict[str, object]", body) if isinstance(body, dict) else {}


def _without(text: str, question: Question) -> str:
    """The text without the key (also masked or cut) and without the words of the question."""
    if question.key:
        text = re.sub(re.escape(question.key[:6]) + r"\S*" if len(question.key) > _TELLING else re.escape(question.key), "…", text)
    text = re.sub(r"\bsk-\S+", "…", text)
    for words in (*(content for _, content in question.messages), question.recorded):
        if len(words) >= _TELLING:
            text = text.replace(words, "…")
    return text


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
