"""From a question about a repository to a run that answers it, the same for HTTP and the socket.

In come a caller and a checked question; out comes a follower that stands where the model is asked, with what it has read,
or the sentence with which the document refuses.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from events.acceptance import Accepted
from services.api.answers.problems import BadRequest, Native
from services.api.api import Api
from services.api.asking.starting import launch
from services.api.asking.wiki_chat import Asked
from services.api.dialects import deepwiki
from services.api.following.follow import Follower
from services.api.gate.identity import Caller
from services.api.requests.wiki import Question
from services.kit.models.accounts import SCHEME, UNSPOKEN, accounts
from services.kit.retrieval.retrieval import without_credentials

_GIT_CALLS = 2
_READING_S = 60


class Unprepared(Native):
    """The repository or the model cannot be had; the document answers 500."""

    status = 500


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that asks the model now: `held` is what was read of it. None where the client left before."""

    run: str
    follower: Follower
    held: Sequence[Accepted]


async def begin(api: Api, caller: Caller, question: Question, key: str, left: Callable[[], Awaitable[bool]]) -> Begun | None:
    """Start the run and follow it until the model is asked. Raises `BadRequest`, `Unprepared`, and what starting raises."""
    asked = await _asked(api, caller, question)
    if not question.messages:
        raise BadRequest("No messages provided")
    if question.messages[-1].role != "user":
        raise BadRequest("Last message must be from the user")
    url, inside = without_credentials(question.repo_url) if "://" in question.repo_url else (question.repo_url, "")
    token = question.token or inside
    reference = await api.world.secrets.put(caller.app, token) if token else ""
    run, follower = await launch(
        api, caller, lambda run: deepwiki.to_command(question, run, caller.app, asked, url=url, token=reference, key=key), key=key
    )
    try:
        held = await _until_asked(follower, api.world.settings.ping_s, left)
    except BaseException:
        follower.close()
        raise
    if held is None:
        follower.close()
        return None
    return Begun(run, follower, held)


async def _until_asked(follower: Follower, patience: float, left: Callable[[], Awaitable[bool]]) -> Sequence[Accepted] | None:
    held: list[Accepted] = []
    seen = deepwiki.Raw()
    while not follower.ended and not seen.asked:
        events = await follower.next(patience)
        held += events
        for event in events:
            seen.feed(event)
        if not seen.asked and await left():
            return None
    if seen.refused:
        raise Unprepared(seen.refused)
    return held


async def _asked(api: Api, caller: Caller, question: Question) -> Asked:
    settings = api.world.settings
    name = question.provider or settings.wiki_provider
    patience_s = _GIT_CALLS * settings.wiki_clone_s + _READING_S
    found = await api.providers.find(caller.app, name)
    if found is not None and found.whose != "environment":
        return Asked(name, question.model or next(iter(found.models), ""), SCHEME + name, found.label, "", patience_s)
    known = accounts(settings).get(name)
    if name in UNSPOKEN:
        raise Unprepared(
            f"Error preparing retriever: the provider '{name}' does not speak the OpenAI protocol and is not served here; "
            f"expected one of {', '.join(accounts(settings))}"
        )
    if known is None:
        raise Unprepared(f"Error preparing retriever: Configuration for provider '{name[:100]}' not found")
    url = "" if name == "openai" else SCHEME + name
    return Asked(name, question.model or known.model, url, known.label, known.variables, patience_s)
