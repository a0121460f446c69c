"""What one partition's owner knows: the fold of its accepted events, stream by stream.

In come accepted events and commands; out go the events that a command leads to. Ids of commands, idempotency keys and
ended runs are remembered longer than commands are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from events import topics
from events.commands import AnswerQuestion, CancelRun, StartRun, StoreFile
from events.envelope import Envelope, Event, Fact, Meta
from events.refusal import CommandRefused, CommandRepeated
from events.run import RunStarted, Turn
from services.core.codes import Code
from services.core.deciders.app import APP, AppState
from services.core.deciders.app import WISHES as APP_WISHES
from services.core.deciders.bot import BOT, BotState
from services.core.deciders.bot import WISHES as BOT_WISHES
from services.core.deciders.decider import Decider
from services.core.deciders.file import FILE
from services.core.deciders.flow import FLOW, WISHES, FlowState
from services.core.deciders.provider import PROVIDER, ProviderState
from services.core.deciders.provider import WISHES as PROVIDER_WISHES
from services.core.deciders.tool import TOOL, ToolState
from services.core.deciders.tool import WISHES as TOOL_WISHES
from services.core.language.graph import Graph
from services.core.running import run as core_run
from services.core.running.chats import Chats
from services.core.running.run import Decision
from services.core.running.run_state import Active, Ended, NotStarted, RunState, evolve
from services.core.running.turn import Limits
from services.processor.memory.book import Book
from services.processor.memory.ids import Id, Ids
from services.processor.memory.runs import Runs

REMEMBERED_MS = topics.REMEMBERED_MS


DECIDERS: dict[str, Decider[Any, Any]] = {"flow": FLOW, "app": APP, "bot": BOT, "tool": TOOL, "provider": PROVIDER}
"""Of the categories whose streams have a state here for good."""


@dataclass(frozen=True, slots=True)
class Said:
    """An event and the stream it belongs to."""

    stream: str
    app: str
    event: Event


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command leads to, and whether its run needs a further step at once."""

    said: list[Said]
    more: bool = False
    state: RunState | None = None
    """Where the run stands after these events, if that is known."""


@dataclass
class PartitionState:
    """All streams of one partition. Runs that ended are only remembered by id, flows, apps, bots, tools and providers for good."""

    runs: Runs = field(default_factory=Runs)
    ids: Ids = field(default_factory=Ids)
    flows: dict[str, FlowState] = field(default_factory=dict[str, FlowState])
    apps: dict[str, AppState] = field(default_factory=dict[str, AppState])
    bots: dict[str, BotState] = field(default_factory=dict[str, BotState])
    tools: dict[str, ToolState] = field(default_factory=dict[str, ToolState])
    providers: dict[str, ProviderState] = field(default_factory=dict[str, ProviderState])
    chats: Chats = field(default_factory=Chats)
    book: Book = field(default_factory=Book, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.runs.book = self.book

    def run(self, run: str) -> RunState:
        """A run's state."""
        state = self.runs.get(run)
        if state is not None:
            return state
        ended = self.ids.ended(run)
        return Ended(ended[0]) if ended else NotStarted()

    def adopt(self, run: str, decided: Sequence[Envelope], state: RunState) -> None:
        """The same as `apply` for events of one run that were folded while they were decided: `state` is where they led to."""
        for one in decided:
            self._note(one.meta)
            if isinstance(one.data, RunStarted):
                self._note_key(one.data, run, one.meta)
        self._stands(run, state, decided[-1].meta.time)
        self.book.count(decided[0].meta.stream, alive=isinstance(state, Active), events=len(decided))

    def apply(self, meta: Meta, event: Fact, offset: int | None = None) -> None:
        """Fold one accepted event (or one of our own, decided just now). A state that has it already stays as it is."""
        self._note(meta)
        if not isinstance(event, Event):
            return
        category, _, name = meta.stream.partition("-")
        if category == "run" and isinstance(event, RunStarted):
            self._note_key(event, name, meta)
        if self.book.stands_for(meta.stream, offset):
            return
        if category == "run":
            state = evolve(self.run(name), event, meta.time)
            self._stands(name, state, meta.time)
            self.book.count(meta.stream, alive=isinstance(state, Active))
        elif category in DECIDERS:
            family, decider = self.family(category), DECIDERS[category]
            family[name] = decider.evolve(family.get(name, decider.initial), event, meta.time)
            self.book.count(meta.stream, alive=True)

    def family(self, category: str) -> dict[str, Any]:
        """The states of all streams of a category, by name, as far as they are in memory."""
        families: dict[str, dict[str, Any]] = {
            "run": self.runs,
            "flow": self.flows,
            "app": self.apps,
            "bot": self.bots,
            "tool": self.tools,
            "provider": self.providers,
        }
        return families[category]

    def end(self, run: str, app: str, time: int) -> None:
        """The run is over: its id is remembered."""
        self._remember(("ended", run, app, str(time)))

    def _note(self, meta: Meta) -> None:
        if meta.command:
            self._remember(("command", meta.command, meta.stream, str(meta.time)))

    def _note_key(self, started: RunStarted, run: str, meta: Meta) -> None:
        if started.idempotency_key:
            self._remember(("key", started.app, started.idempotency_key, run, meta.command, str(meta.time)))

    def _remember(self, one: Id) -> None:
        if self.ids.note(one):
            self.book.remember(one)

    def _stands(self, run: str, state: RunState, time: int) -> None:
        if isinstance(state, Active):
            self.runs[run] = state
        elif isinstance(state, Ended):
            self.runs.pop(run, None)
            self.end(run, state.app, time)
            self.chats.add((state.app, state.chat), state.said)

    def decide(self, command: Envelope, time: int, graph: Graph | None, limits: Limits) -> Answer:
        """The events of a command: at least one. A command that was seen before changes nothing and says so."""
        meta, wish = command.meta, command.data
        repeated = self._repetition(meta, wish)
        if repeated is not None:
            return self._aside(meta, repeated)
        match wish:
            case StartRun() | CancelRun() | AnswerQuestion():
                if isinstance(wish, StartRun) and topics.minted_at(wish.run) < time - REMEMBERED_MS:
                    return self._aside(meta, _refusal(meta, Code.OPEN_API_ERROR, "the run id is too old; repeat the request"))
                decision = core_run.decide(self.run(wish.run), wish, time, graph, limits, self._remembered(wish, graph))
                return self._answer(meta, decision.events, decision)
            case _ if isinstance(wish, APP_WISHES):
                app = self.apps.get(meta.stream.partition("-")[2], APP.initial)
                return self._answer(meta, APP.decide(app, wish, time))  # pyright: ignore[reportArgumentType]
            case StoreFile():
                return self._answer(meta, FILE.decide(FILE.initial, wish, time))
            case _ if isinstance(wish, BOT_WISHES):
                bot = self.bots.get(meta.stream.partition("-")[2], BOT.initial)
                return self._answer(meta, BOT.decide(bot, wish, time))  # pyright: ignore[reportArgumentType]
            case _ if isinstance(wish, TOOL_WISHES):
                tool = self.tools.get(meta.stream.partition("-")[2], TOOL.initial)
                return self._answer(meta, TOOL.decide(tool, wish, time))  # pyright: ignore[reportArgumentType]
            case _ if isinstance(wish, PROVIDER_WISHES):
                provider = self.providers.get(meta.stream.partition("-")[2], PROVIDER.initial)
                return self._answer(meta, PROVIDER.decide(provider, wish, time))  # pyright: ignore[reportArgumentType]
            case _ if isinstance(wish, WISHES):
                state = self.flows.get(meta.stream.partition("-")[2], FLOW.initial)
                return self._answer(meta, FLOW.decide(state, wish, time))  # pyright: ignore[reportArgumentType]
            case _:
                return self._aside(meta, _refusal(meta, Code.OPEN_API_ERROR, "nobody decides this command"))

    def refuse(self, meta: Meta, code: Code, message: str) -> Answer:
        """A refusal that was decided before the stream was asked."""
        return self._aside(meta, _refusal(meta, code, message))

    def forget(self, time: int) -> None:
        """Drop what is older than the window."""
        self.ids.forget(time - REMEMBERED_MS)

    def _remembered(self, wish: Fact, graph: Graph | None) -> tuple[Turn, ...]:
        if not isinstance(wish, StartRun) or graph is None:
            return ()
        return self.chats.turns((wish.app, wish.chat), core_run.rounds_wanted(graph, wish))

    def _repetition(self, meta: Meta, wish: Fact) -> CommandRepeated | None:
        known = self.ids.command(meta.id)
        if known is not None:
            return CommandRepeated(wished=meta.type, target=known, first=meta.id)
        if isinstance(wish, StartRun) and wish.idempotency_key:
            first = self.ids.key(wish.app, wish.idempotency_key)
            if first is not None:
                return CommandRepeated(wished=meta.type, target=topics.run_stream(first[0]), first=first[1])
        return None

    def _answer(self, meta: Meta, events: list[Event], decision: Decision | None = None) -> Answer:
        aside = topics.refusals_stream(meta.app)
        said = [Said(aside if isinstance(event, CommandRefused) else meta.stream, meta.app, event) for event in events]
        if decision is None:
            return Answer(said)
        return Answer(said, decision.more, decision.state if all(one.stream == meta.stream for one in said) else None)

    def _aside(self, meta: Meta, event: Event) -> Answer:
        return Answer([Said(topics.refusals_stream(meta.app), meta.app, event)])


def _refusal(meta: Meta, code: Code, message: str) -> CommandRefused:
    return CommandRefused(wished=meta.type, target=meta.stream, code=code, message=message)
