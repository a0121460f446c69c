"""What text is shown when (astron.md 3.7): the ordering gate, units in order, deltas as they come.

In comes a turn in which something moved; out go `output.opened`, `output.released` and `output.closed`. One output node
has the floor at a time, in the order in which they became eligible. Text of streaming sources is released by reference.
"""

from events.envelope import Stage
from events.node import DeltaRange, OutputClosed, OutputOpened, OutputReleased
from services.core.language.graph import stage_of
from services.core.language.kind import Input, Node, Speech
from services.core.language.template import Constant, Placeholder, Unit, joined, shown
from services.core.language.values import compact
from services.core.running.audit import say
from services.core.running.run_state import Floor, NodeRun, Place
from services.core.running.turn import Turn


def speak(turn: Turn) -> None:
    """Show all that may be shown now, as far as the step has room. Raises `Problem` where a placeholder cannot be rendered."""
    while not turn.full:
        floor = turn.run.floor
        if floor is None:
            if not turn.run.queue:
                return
            place = turn.run.queue[0]
            say(turn, OutputOpened(node=place[0], path=place[1], attempt=_attempt(turn, place)))
        elif not _go_on(turn, floor):
            return


def shown_at(turn: Turn, place: Place, stage: Stage) -> tuple[str, int] | None:
    """The output node and unit that show the next delta of this node at once; None while it has to wait.

    Thinking inside the answer, or an answer inside the thinking, is released by reference: only a release names the stage. So
    is what comes from outside the rounds of the output node: only a release names both paths. What is judged before waits too.
    """
    floor = turn.run.floor
    if floor is None or floor.place[1] != place[1] or turn.run.audit is not None:
        return None
    speech = turn.graph.speeches[floor.place[0]]
    if not speech.streamed or speech.outputs_as_json:
        return None
    unit, taken = _cursor(turn, floor, _units(speech))
    source = _stream(turn, floor.place, _units(speech), unit)
    if stage != _stage(speech, unit):
        return None
    node = turn.node_run(place)
    if source != (place, stage) or node is None or taken != len(node.pieces(stage)):
        return None
    return floor.place[0], unit


def whole_text(turn: Turn, place: Place) -> tuple[str, str]:
    """The reasoning and the content of an output node whose sources are all settled."""
    speech = turn.graph.speeches[place[0]]
    if speech.outputs_as_json:
        return "", compact(turn.inputs(place))

    def text(units: tuple[Unit, ...]) -> str:
        return joined(one.text if isinstance(one, Constant) else _value(turn, place, one) for one in units)

    return text(speech.reasoning), text(speech.content)


def _go_on(turn: Turn, floor: Floor) -> bool:
    """One more event of the node that has the floor; False when it has to wait."""
    place = floor.place
    speech = turn.graph.speeches[place[0]]
    node = turn.node_run(place)
    done = node is not None and node.status == "completed"
    if not speech.streamed or speech.outputs_as_json:
        return done and _all_at_once(turn, floor)
    units = _units(speech)
    unit, taken = _cursor(turn, floor, units)
    if unit == len(units) - 1:
        last = units[unit]
        if done:
            say(turn, OutputClosed(node=place[0], path=place[1], attempt=_attempt(turn, place), text=turn.words(_constant(last))))
        return done
    return _release(turn, place, speech, unit, taken)


def _release(turn: Turn, place: Place, speech: Speech, unit: int, taken: int) -> bool:
    units = _units(speech)
    one = units[unit]
    stage = _stage(speech, unit)
    attempt = _attempt(turn, place)
    source = _stream(turn, place, units, unit)
    if source is not None:
        (node, path), said = source
        run = turn.node_run((node, path))
        count = len(run.pieces(said)) if run else 0
        if taken >= count:
            return False
        of = DeltaRange(node=node, path=path, stage=said, start=taken, stop=count)
        say(turn, OutputReleased(node=place[0], path=place[1], attempt=attempt, unit=unit, stage=stage, of=of))
        return True
    if isinstance(one, Placeholder) and not _available(turn, place, one):
        return False
    text = one.text if isinstance(one, Constant) else _value(turn, place, one)
    say(turn, OutputReleased(node=place[0], path=place[1], attempt=attempt, unit=unit, stage=stage, text=turn.words(text)))
    return True


def _all_at_once(turn: Turn, floor: Floor) -> bool:
    place = floor.place
    reasoning, content = whole_text(turn, place)
    attempt = _attempt(turn, place)
    if reasoning and floor.unit == 0:
        say(turn, OutputReleased(node=place[0], path=place[1], attempt=attempt, unit=0, stage="reasoning", text=turn.words(reasoning)))
    say(turn, OutputClosed(node=place[0], path=place[1], attempt=attempt, text=turn.words(content)))
    return True


def _units(speech: Speech) -> tuple[Unit, ...]:
    return (*speech.reasoning, *speech.content) if speech.reasoning else speech.content


def _stage(speech: Speech, unit: int) -> Stage:
    return "reasoning" if unit < len(speech.reasoning) else "content"


def _constant(unit: Unit) -> str:
    return unit.text if isinstance(unit, Constant) else ""


def _attempt(turn: Turn, place: Place) -> int:
    node = turn.node_run(place)
    return node.attempt if node else 1


def _cursor(turn: Turn, floor: Floor, units: tuple[Unit, ...]) -> tuple[int, int]:
    """The unit that is next, past streams that are settled and shown and past empty constants."""
    unit, taken = floor.unit, floor.taken
    while unit < len(units) - 1:
        one = units[unit]
        source = _stream(turn, floor.place, units, unit)
        if source is not None:
            if not _said(turn, source, taken):
                break
        elif not (isinstance(one, Constant) and not one.text):
            break
        unit, taken = unit + 1, 0
    return unit, taken


def _said(turn: Turn, source: tuple[Place, Stage], taken: int) -> bool:
    """Whether a stream is shown to its end. Thinking ends with the first word of the answer."""
    node = turn.node_run(source[0])
    if node is None or taken < len(node.pieces(source[1])):
        return False
    return node.settled or (source[1] == "reasoning" and len(node.content) > 0)


def _stream(turn: Turn, place: Place, units: tuple[Unit, ...], unit: int) -> tuple[Place, Stage] | None:
    """The node and stage whose deltas are this unit; None where it is a value.

    A source that was skipped, or whose failure was replaced by a preset, is no stream: it has a value.
    """
    one = units[unit]
    if not isinstance(one, Placeholder) or one.path:
        return None
    declared = _input(turn.node(place), one.name)
    source = declared.source
    if not source.node or source.keys or source.node in turn.graph.late[place[0]]:
        return None
    stage = stage_of(turn.graph.nodes[source.node], source.name)
    if not stage:
        return None
    producer = turn.seen_from(source.node, place)
    node = turn.node_run(producer)
    if node is not None and (node.status == "skipped" or (node.status == "completed" and (node.problem is not None or _silent(node)))):
        return None
    return producer, "reasoning" if stage == "reasoning" else "content"


def _silent(node: NodeRun) -> bool:
    """Whether it ended with outputs and no text: a sub-flow may."""
    return node.kind == "flow" and not len(node.content) and not len(node.reasoning)


def _available(turn: Turn, place: Place, unit: Placeholder) -> bool:
    """Whether the unit's value can be read: its source is settled, or never will be."""
    source = _input(turn.node(place), unit.name).source
    if not source.node or _done(turn.node_run(place)):
        return True
    node = turn.node_run(turn.seen_from(source.node, place))
    return node is not None and node.settled


def _done(node: NodeRun | None) -> bool:
    return node is not None and node.status == "completed"


def _value(turn: Turn, place: Place, unit: Placeholder) -> str:
    node = turn.node(place)
    source = _input(node, unit.name).source
    if source.node:
        producer = turn.node_run(turn.seen_from(source.node, place))
        if producer is not None and producer.status == "skipped":
            return ""
    return shown(unit, turn.value(source, place, f"{node.id}: input {unit.name}"))


def _input(node: Node, name: str) -> Input:
    found = node.input(name)
    assert found is not None, "templates only have placeholders of their inputs"
    return found
