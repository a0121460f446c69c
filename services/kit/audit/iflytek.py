"""The provider of iFlytek: its content safety API, `/audit/v3/aichat/input` and `/output`.

In comes a passage; out goes a POST whose query is signed (HMAC-SHA1 over the sorted, percent-encoded parameters, Base64), and
back comes an action. Only `none` passes. A call that fails is made once more, newly signed, at the next host where there are
several; what it said is never logged, since it repeats people's words.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

import httpx2
from pydantic import JsonValue
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from events.json_text import read_json
from services.kit.audit.port import NoOpinion, Opinion, Passage
from services.kit.clock import Clock
from services.kit.errors import Refused
from services.kit.ids import new_id
from services.kit.outside.egress import Egress
from services.kit.settings import Settings, variable
from services.kit.telling.logs import logger

ATTEMPTS = 2
CONNECT_S = 1.0
_MAX_BYTES = 1_048_576
_OK = 200
_STAGES = {"reasoning": "reasoning", "content": "answer"}
_WHAT = "the audit service"


def signed(parameters: Mapping[str, str], secret: str) -> dict[str, str]:
    """The query with its signature. Empty parameters are left out."""
    given = {name: value for name, value in parameters.items() if value}
    base = "&".join(f"{name}={quote(given[name], safe='')}" for name in sorted(given))
    made = hmac.new(secret.encode(), base.encode(), hashlib.sha1).digest()
    return {**given, "signature": base64.b64encode(made).decode()}


def body_of(passage: Passage) -> tuple[str, dict[str, JsonValue]]:
    """Path and body of the call."""
    if passage.of in {"input", "answer"}:
        body: dict[str, JsonValue] = {
            "intention": "dialog",
            "stage": "original_query",
            "content": passage.text,
            "chat_sid": passage.run,
        }
        if passage.history:
            body["context_list"] = [{"role": role, "content": words, "resource_list": []} for role, words in passage.history]
        return "/audit/v3/aichat/input", body
    whole = passage.of == "question"
    return "/audit/v3/aichat/output", {
        "intention": "dialog",
        "stage": _STAGES[passage.stage],
        "content": passage.text,
        "pindex": max(1, passage.piece),
        "is_pending": int(passage.pending),
        "is_stage_end": int(passage.ends_stage or whole),
        "is_end": int(passage.ends),
        "chat_sid": passage.run,
    }


class Iflytek:
    """See `Judge`. Raises `Refused` where credentials are missing."""

    name = "iflytek"

    def __init__(self, settings: Settings, clock: Clock, new: Callable[[], str] = new_id) -> None:
        needed = ("audit_app_id", "audit_key_id", "audit_key_secret", "audit_hosts")
        if missing := [variable(name) for name in needed if not getattr(settings, name)]:
            raise Refused(f"the iFlytek audit needs {', '.join(missing)}.")
        self._settings = settings
        self._clock = clock
        self._new = new
        self._hosts = [host.rstrip("/") for host in settings.audit_hosts]
        self._client = Egress().client(_MAX_BYTES, trusted=True)

    async def judge(self, passage: Passage) -> Opinion:
        """See `Judge.judge`."""
        path, body = body_of(passage)
        again = AsyncRetrying(stop=stop_after_attempt(ATTEMPTS), retry=retry_if_exception(_temporary), reraise=True)
        async for attempt in again:
            with attempt:
                number = attempt.retry_state.attempt_number
                return _opinion(await self._call(number, path, body, passage.app), number)
        raise AssertionError("the last attempt returns or raises")

    async def aclose(self) -> None:
        """See `Judge.aclose`."""
        await self._client.aclose()

    async def _call(self, number: int, path: str, body: dict[str, JsonValue], app: str) -> dict[str, Any]:
        settings = self._settings
        at = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        query = signed(
            {
                "appId": settings.audit_app_id,
                "accessKeyId": settings.audit_key_id,
                "utc": at.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "uuid": self._new(),
                "chatAppId": app,
            },
            settings.audit_key_secret,
        )
        limits = httpx2.Timeout(settings.audit_limit_s, connect=min(CONNECT_S, settings.audit_limit_s))
        host = self._hosts[(number - 1) % len(self._hosts)]
        try:
            answer = await self._client.post(host + path, params=query, json=body, timeout=limits)
        except httpx2.ConnectTimeout:
            failure = NoOpinion(f"{_WHAT} cannot be reached", kind="connection", temporary=True)
        except httpx2.TimeoutException:
            failure = NoOpinion(f"{_WHAT} did not answer within {settings.audit_limit_s:g} s", kind="timeout", temporary=True)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            failure = NoOpinion(f"{variable('audit_hosts')} names no address such as https://host/path", kind="url")
        except httpx2.HTTPError:
            failure = NoOpinion(f"{_WHAT} cannot be reached, or it broke off", kind="connection", temporary=True)
        else:
            return _read(answer)
        logger(__name__).warning("audit_call_failed", provider=self.name, error=failure.kind, attempt=number, of=ATTEMPTS)
        raise failure from None


def _temporary(wrong: BaseException) -> bool:
    return isinstance(wrong, NoOpinion) and wrong.temporary


def _read(answer: httpx2.Response) -> dict[str, Any]:
    if answer.status_code != _OK:
        raise NoOpinion(f"{_WHAT} answered {answer.status_code}", kind=str(answer.status_code), temporary=True)
    try:
        said: Any = read_json(answer.content)
        code = int(said["code"])
    except (ValueError, KeyError, TypeError):
        raise NoOpinion(f"{_WHAT} answered with something that is not its JSON", kind="no_json", temporary=True) from None
    if code:
        raise NoOpinion(f"{_WHAT} answered with its code {code}", kind="code", temporary=True)
    return said


def _opinion(said: dict[str, Any], tries: int) -> Opinion:
    data = cast("dict[str, Any]", said["data"]) if isinstance(said.get("data"), dict) else {}
    action = data.get("action")
    if not isinstance(action, str) or not action:
        raise NoOpinion(f"{_WHAT} answered without an action", kind="no_action")
    reference = next((one for one in (data.get("sid"), said.get("sid"), data.get("request_id")) if isinstance(one, str)), "")
    return Opinion(action == "none", action[:64], _categories(data), reference[:128], tries)


def _categories(data: dict[str, Any]) -> tuple[str, ...]:
    found = data.get("category_list") or data.get("categories")
    named = cast("list[Any]", found)[:20] if isinstance(found, list) else []
    words = [cast("dict[str, Any]", one).get("category") if isinstance(one, dict) else one for one in named]
    return tuple(word[:64] for word in words if isinstance(word, str))
