"""Random flows and random ways to tell them, for properties: models, joiners, messages, failure edges, one end.

References only go to nodes before the one that refers, so that every value is final when its text is.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

from events.node import Problem
from services.core.running.effects import Broke, Done, Outcome, Piece
from services.core.running.run import TakenOver, Told
from services.core.running.run_state import Place
from tests.support.flows import At, Part, at, end, flow, joiner, message, retry, start, thinker
from tests.support.spec import Story, wish_to_start

TEXTS = ("a", "bc", "ü ", "{{x}}", "\n")
STREAMS = ("output", "REASONING_CONTENT")


@dataclass
class Plan:
    """A flow: its document, and the templates of its output nodes by name with what they refer to."""

    document: Any = None
    templates: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    refers: dict[str, dict[str, At]] = field(default_factory=dict[str, dict[str, At]])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    plan = Plan()
    parts: list[Part] = [start(q="string")]
    before: dict[str, set[str]] = {"start": set()}
    ways: list[str] = []
    leaves: set[str] = set()
    for number in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from("tttjmm"))
        name = f"{kind}{number}"
        sources = draw(st.lists(st.sampled_from(sorted(before)), min_size=1, max_size=3, unique=True))
        before[name] = set(sources).union(*(before[one] for one in sources))
        for source in sources:
            failing = source[0] == "t" and draw(st.integers(0, 4)) == 0
            ways.append(f"{source} {'!>' if failing else '>'} {name}")
        leaves = leaves.difference(sources) | {name}
        refers = _refers(draw, before[name])
        template = _template(draw, refers)
        plan.templates[name] = ("", template)
        plan.refers[name] = refers
        if kind == "t":
            parts.append(Part(name, "spark-llm", refers, thinker(name).outputs, thinker(name, template).param, draw(_retries())))
        elif kind == "j":
            parts.append(joiner(name, template, **refers))
        else:
            parts.append(message(name, template, streamed=draw(st.booleans()), **refers))
    every = set(before)
    refers = _refers(draw, every)
    reasoning, template = draw(st.sampled_from(["", "r"])) and _template(draw, refers), _template(draw, refers)
    parts.append(end(template, reasoning=reasoning, streamed=draw(st.booleans()), **refers))
    plan.templates["end"], plan.refers["end"] = (reasoning, template), refers
    plan.document = flow(*parts, edges="; ".join([*ways, *(f"{leaf} > end" for leaf in sorted(leaves))]))
    return plan


def _retries() -> st.SearchStrategy[Any]:
    return st.sampled_from([None, retry(2), retry(2, 1), retry(1, preset={"output": "preset", "REASONING_CONTENT": "why"})])


def _refers(draw: st.DrawFn, before: set[str]) -> dict[str, At]:
    sources = [f"{name}.{output}" for name in sorted(before) for output in _outputs(name)]
    found = draw(st.lists(st.sampled_from(sources), max_size=4, unique=True))
    return {f"v{number}": at(one) for number, one in enumerate(found)}


def _outputs(name: str) -> tuple[str, ...]:
    return {"s": ("q",), "t": (*STREAMS, "errorCode"), "j": ("output",), "m": ("errorMessage",)}[name[0]]


def _template(draw: st.DrawFn, refers: dict[str, At]) -> str:
    units = [f"{{{{{name}}}}}" for name in refers] + ["-", "<", "{{nobody}}"]
    return "".join(draw(st.lists(st.sampled_from(units), max_size=6)))


def tell(story: Story, seed: int, *, faults: bool = True, steps: int = 80) -> Story:
    """Tell a whole run: its models speak in turns, think before they answer, fail now and then, change their owner."""
    chance = Random(seed)
    story.take(wish_to_start(q="Q"))
    for step in range(steps):
        if story.over:
            return story
        if faults and chance.random() < 0.05:
            story.take(TakenOver())
        place = chance.choice(sorted(story.active.working))
        outcome = Done() if step > 40 else _outcome(story, place, chance)
        story.take(Told(place, story.active.nodes[place].attempt, outcome))
    return story


def _outcome(story: Story, place: Place, chance: Random) -> Outcome:
    node = story.active.nodes[place]
    quiet = not len(node.content) and not len(node.reasoning)
    if quiet and story.graph.nodes[place[0]].retry.should_retry and chance.random() < 0.4:
        return Broke(Problem(code=20380, message="failed"))
    choice = chance.randrange(4)
    if choice == 0:
        return Done()
    if choice == 1 and not len(node.content):
        return Piece("reasoning", chance.choice(TEXTS))
    return Piece("content", chance.choice(TEXTS))
