"""Which provider answers a question: the offline script, or an endpoint of the OpenAI protocol.

In comes a `Question`; out goes a `Call` that is ready to be sent. The process's own key only ever goes to the process's
own endpoint. Addresses that the operator did not set go through the guard of `egress`. A model named `offline-demo` on a node
without a url is the script, whatever else is set up.
"""

from dataclasses import replace

from services.kit.clock import Clock
from services.kit.models import offline
from services.kit.models.accounts import SCHEME, accounts, obstacle
from services.kit.models.connections import ANSWER_BYTES, Connections
from services.kit.models.continues import handed_over, shape_of, table
from services.kit.models.endpoint import OPENAI, Endpoint, endpoint_of, places_of
from services.kit.models.openai import OpenAICall
from services.kit.models.port import Call, ModelFailed, Question
from services.kit.outside.egress import limits_of
from services.kit.settings import Settings


class Models:
    """All models, and the connections to them. Raises `Refused` where the settings cannot be understood."""

    def __init__(self, settings: Settings, clock: Clock, answer_bytes: int = ANSWER_BYTES) -> None:
        self._clock = clock
        self._key = settings.openai_api_key
        self._own_url = settings.openai_base_url or (OPENAI if settings.openai_api_key else "")
        self._shapes = table(settings.model_continues)
        self._connections = Connections(limits_of(settings), answer_bytes, settings.egress_networks)
        self._accounts = accounts(settings)
        self._operators = places_of([self._own_url, settings.local_base_url, *(one.url for one in self._accounts.values())])

    def call(self, question: Question) -> Call:
        """The call, not sent yet. Raises `ModelFailed` where the question cannot be asked."""
        if question.url == offline.URL or (not question.url and question.model == offline.NAME):
            return offline.OfflineCall(question, self._clock)
        question = self._of_account(question)
        endpoint, own = self._endpoint(question)
        shape = handed_over(question, shape_of(self._shapes, endpoint.host, endpoint.port, question.model))
        question = replace(question, key=_sendable(question.key or (self._key if own else "")))
        is_trusted = question.is_trusted or (endpoint.host, endpoint.port) in self._operators
        return OpenAICall(self._connections.client(endpoint, guarded=not is_trusted), endpoint, question, shape, own=own)

    def _of_account(self, question: Question) -> Question:
        """The question with address and key of the account that its url names (`provider:<name>`)."""
        if not question.url.startswith(SCHEME):
            return question
        account = self._accounts.get(question.url.removeprefix(SCHEME))
        if account is None:
            raise ModelFailed("the model's url names a provider that is not known here", kind="url")
        reason = obstacle(account, question.model)
        if reason:
            raise ModelFailed(reason, kind="key")
        return replace(question, url=account.url, key=question.key or account.key, is_trusted=True)

    def _endpoint(self, question: Question) -> tuple[Endpoint, bool]:
        if not question.url and not self._own_url:
            raise ModelFailed("no model endpoint is known: set the node's url, or OPENAI_BASE_URL and OPENAI_API_KEY", kind="url")
        mine = endpoint_of(self._own_url) if self._own_url else None
        asked = endpoint_of(question.url) if question.url else mine
        assert asked is not None
        return asked, asked == mine

    async def aclose(self) -> None:
        """Close all connections. Calls that are under way fail."""
        await self._connections.aclose()


def _sendable(key: str) -> str:
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelFailed("the key of this model holds characters that no key has", kind="key")
    return key
