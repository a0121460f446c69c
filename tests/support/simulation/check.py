"""What must be true when a schedule is over, whatever it was. Each sentence here is an invariant; what is returned is what broke."""

from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256

from events import topics
from events.acceptance import ENDS_A_RUN, Accepted, Checkpoint
from events.delta import NodeDelta
from events.node import NodeCompleted, NodeTimedOut
from events.refusal import CommandRepeated
from tests.support.record import shown_text
from tests.support.simulation import flows
from tests.support.simulation.fold import PlayedFold
from tests.support.simulation.play import Play


def violations(play: Play) -> list[str]:
    """Everything that broke, one sentence each (a sentence may come more than once)."""
    return list(_all(play))


def _all(play: Play) -> Iterator[str]:
    if play.restless:
        yield "it does not come to rest"
    if play.stopped_for_nothing:
        yield "an owner stops for a loss that never was"
    fold = PlayedFold(Checkpoint(play.identity(topics.EVENTS), 0), play.rules)
    history = [event for stored in play.events.stored if (event := fold.step(stored)) is not None]
    play.compare()
    if play.misled:
        yield "a snapshot says something else than the log"
    yield from _positions(history)
    yield from _readers(play, history)
    yield from _steps(play, history)
    yield from _commands(play, history)
    yield from _effects(play, history)
    runs: defaultdict[str, list[Accepted]] = defaultdict(list)
    for event in history:
        runs[event.meta.stream].append(event)
    for run, behaviour in flows.RUNS.items():
        events = runs.get(topics.run_stream(run))
        if events:
            yield from _run(play, run, behaviour, events)


def _positions(history: list[Accepted]) -> Iterator[str]:
    newest: dict[str, int] = {}
    ids: set[str] = set()
    for event in history:
        if event.position != newest.get(event.meta.stream, 0) + 1:
            yield "a stream has a gap"
        newest[event.meta.stream] = event.position
        if event.meta.id in ids:
            yield "an event is accepted twice"
        ids.add(event.meta.id)


def _readers(play: Play, history: list[Accepted]) -> Iterator[str]:
    true = [(event.offset, event.position, event.meta) for event in history]
    for follower in play.followers:
        if [(event.offset, event.position, event.meta) for event in follower.seen] != true:
            yield "two readers derive different histories"
    first: dict[str, str] = {}
    for event in history:
        first.setdefault(event.meta.command, event.meta.id)
    for command, event_id in play.answers.items():
        if first.get(command) != event_id:
            yield "an answer that was given is not on the record"


def _steps(play: Play, history: list[Accepted]) -> Iterator[str]:
    places = {event.meta.id: place for place, event in enumerate(history)}
    for ids in play.steps:
        there = [places[id_] for id_ in ids if id_ in places]
        if there and (len(there) != len(ids) or there != list(range(there[0], there[0] + len(ids)))):
            yield "half a decision is accepted"


def _commands(play: Play, history: list[Accepted]) -> Iterator[str]:
    results: defaultdict[str, dict[tuple[str, int | None], list[Accepted]]] = defaultdict(dict)
    for event in history:
        if event.meta.command:
            results[event.meta.command].setdefault((event.meta.claim, event.meta.cause), []).append(event)
    for command, decisions in results.items():
        for events in list(decisions.values())[1:]:
            data = events[0].envelope.data
            if len(events) != 1 or not isinstance(data, CommandRepeated) or data.first != command:
                yield "a command has two results"
    for command in play.commands.ids():
        if command not in results:
            yield "a command is never answered"
    causes = [(event.meta.cause, event.meta.claim) for event in history if event.meta.cause is not None]
    if not play.moved and not play.lost:
        if [cause for cause, _ in causes] != sorted(cause for cause, _ in causes):
            yield "commands are decided out of order"
        if len({cause for cause, _ in causes}) != len(set(causes)):
            yield "a command is decided twice"
        if {cause for cause, _ in causes} != set(range(play.commands.end)):
            yield "a command is never answered"
    yield from _keys(history)


def _keys(history: list[Accepted]) -> Iterator[str]:
    keyed = [event for event in history if event.meta.type == "run.started" and getattr(event.envelope.data, "idempotency_key", "")]
    if len(keyed) > 1:
        yield "one idempotency key has two runs"


def _effects(play: Play, history: list[Accepted]) -> Iterator[str]:
    completed: dict[tuple[str, object], int] = {}
    for event in history:
        data = event.envelope.data
        if isinstance(data, NodeCompleted):
            completed.setdefault((event.meta.stream, (data.node, data.path)), event.offset)
    for effect in play.effects:
        if not effect.on_record:
            yield "an effect is started that nothing on the record asks for"
        if completed.get((topics.run_stream(effect.run), effect.place), effect.claimed_at) < effect.claimed_at:
            yield "an effect is started whose result is on the record"


def _run(play: Play, run: str, behaviour: str, events: list[Accepted]) -> Iterator[str]:
    kinds = [event.meta.type for event in events]
    if kinds[0] != "run.started" or kinds.count("run.started") != 1:
        yield "a run does not begin once"
    if any(kind in ENDS_A_RUN for kind in kinds[:-1]):
        yield "something happens after the end of a run"
    if kinds[-1] not in ENDS_A_RUN:
        yield "a run waits for nothing that will come"
    elif not _ends_as_calm(run, behaviour, events, play):
        yield "a run ends differently than in the calm schedule"
    yield from _text(events)
    shown, whole = shown_text(events), flows.SHOWN[behaviour]
    if not whole.startswith(shown) or (kinds[-1] == "run.completed" and shown != whole):
        yield "text is shown twice, or lost"


def _ends_as_calm(run: str, behaviour: str, events: list[Accepted], play: Play) -> bool:
    end = events[-1].meta.type
    if end == flows.CALM[behaviour]:
        return True
    if end == "run.cancelled":
        return run in play.cancelled
    timed_out = any(isinstance(event.envelope.data, NodeTimedOut) for event in events)
    taken_over = any(getattr(event.envelope.data, "reason", "") == "taken_over" for event in events)
    return end == "run.failed" and (timed_out or (behaviour == "never" and taken_over))


def _text(events: list[Accepted]) -> Iterator[str]:
    said, completed = "", False
    for event in events:
        data = event.envelope.data
        if isinstance(data, NodeDelta):
            if completed:
                yield "a word comes after the end of its node"
            said += data.text.words or ""
        elif isinstance(data, NodeCompleted) and data.content is not None:
            completed = True
            if (data.content.length, data.content.digest) != (len(said), sha256(said.encode()).hexdigest()):
                yield "a completed text is not its deltas"
