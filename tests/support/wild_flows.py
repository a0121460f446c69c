"""Wild flows and wild ways to tell them: branches, decisions, iterations and loops inside one another, references to anything in sight.

In contrast to `random_flows` a value may be read before it is there, a branch may lead nowhere, a model may fail for good. What
must hold all the same is written in `tests/core/test_wild_runs.py`.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

from events.node import Problem
from events.run import Usage
from services.core.running.effects import Broke, Done, Outcome, Piece
from services.core.running.run import Due, TakenOver, Told
from services.core.running.run_state import Place
from tests.support.flows import Part, again, at, branch, changed, decision, each, end, flow, joiner, message, retry, start, taking, thinker
from tests.support.spec import Story, wish_to_start

DEEPEST = 2
OUTPUTS = {
    "t": ("output", "REASONING_CONTENT", "errorCode"), "j": ("output",), "m": ("errorMessage",), "b": ("errorCode",), "d": ("class_name",),
    "e": ("line",), "l": ("s",), "s": ("q", "items"), "i": ("item",), "v": ("s",),
}  # fmt: skip
RETRIES = (
    None,
    retry(0, 1),
    retry(2),
    retry(2, 1),
    retry(1, preset={"output": "preset", "REASONING_CONTENT": "why"}),
    {**retry(1, 1), "retryInterval": 1},
)
STRATEGIES = (
    {},
    {"errorStrategy": "continue"},
    {"errorStrategy": "ignore_error_output", "isParallel": True},
    {"isParallel": True, "maxConcurrency": 2},
)


@dataclass
class Sketch:
    """A flow while it is drawn."""

    parts: list[Part] = field(default_factory=list[Part])
    ways: list[str] = field(default_factory=list[str])
    count: int = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"


@st.composite
def documents(draw: st.DrawFn) -> Any:
    sketch = Sketch([start(q="string", items="array")])
    seen, leaves = _scope(draw, sketch, "start", ("start",), 0)
    sketch.parts.append(end(_template(draw, refers := _refers(draw, seen)), streamed=draw(st.booleans()), **refers))
    sketch.ways += [f"{leaf} end" for leaf in leaves]
    return flow(*sketch.parts, edges="; ".join(dict.fromkeys(sketch.ways)))


def _scope(draw: st.DrawFn, sketch: Sketch, entry: str, around: tuple[str, ...], depth: int) -> tuple[tuple[str, ...], list[str]]:
    """Nodes after `entry`; what is in sight at their end, and the ways that still have to lead somewhere."""
    kinds = "ttjmmbde" + ("el" if depth < DEEPEST else "")
    names = [
        sketch.name(draw(st.sampled_from(kinds if depth < DEEPEST else kinds.replace("e", ""))))
        for _ in range(draw(st.integers(1, 5 - depth)))
    ]
    seen = (*around, *names)
    open_ways: dict[str, list[str]] = {entry: [f"{entry} >"]}
    for name in names:
        sources = draw(st.lists(st.sampled_from(sorted(open_ways)), min_size=1, max_size=2, unique=True))
        for source in sources:
            way = draw(st.sampled_from(open_ways[source]))
            sketch.ways.append(f"{way} {name}")
        visible = [one for one in seen if one != name]
        part = _part(draw, sketch, name, visible, seen, depth)
        sketch.parts.append(part)
        open_ways[name] = _ways_from(name, part)
    taken = {way.rpartition(" ")[0] for way in sketch.ways}
    leaves = [way for ways in open_ways.values() for way in ways if way not in taken and "!>" not in way]
    return seen, leaves or [f"{entry} >"]


def _ways_from(name: str, part: Part) -> list[str]:
    if name[0] == "b":
        return [f"{name} {taking('y')}", f"{name} {taking('n')}"]
    if name[0] == "d":
        return [f"{name} -intent-one-of::{one}->" for one in ("tea", "default")]
    failing = [f"{name} !>"] if part.retry is not None and part.retry["errorStrategy"] == 2 else []
    return [f"{name} >", *failing]


def _part(draw: st.DrawFn, sketch: Sketch, name: str, visible: list[str], seen: tuple[str, ...], depth: int) -> Part:
    refers = _refers(draw, visible)
    match name[0]:
        case "t":
            return changed(thinker(name, _template(draw, refers), **refers), retry=draw(st.sampled_from(RETRIES)))
        case "j":
            return joiner(name, _template(draw, refers), **refers)
        case "m":
            return message(name, _template(draw, refers), streamed=draw(st.booleans()), **refers)
        case "b":
            left = draw(st.sampled_from(["x", "y", at("start.q")]))
            return branch(name, ("y", ("l", "is", "r")), ("n",), l=left, r="x")
        case "d":
            return decision(name, "tea", "default", retry=draw(st.sampled_from([None, retry(1), retry(0, 1)])), q="q")
        case _:
            return _body(draw, sketch, name, seen, depth)


def _body(draw: st.DrawFn, sketch: Sketch, name: str, seen: tuple[str, ...], depth: int) -> Part:
    """A node with rounds; its body is drawn at once."""
    entry, out = f"{name}-in", f"{name}-out"
    if name[0] == "e":
        items = draw(st.sampled_from([at("start.items"), ("array", []), ("array", ["a"]), ("array", ["a", "b", "c"])]))
        container, first, last = each(name, items, param=draw(st.sampled_from(STRATEGIES)))
        own, key = f"i:{entry}", "line"
    else:
        until = draw(st.sampled_from([[], [("s", "is", "x")], [("s", "length_gt", "3")]]))
        container, first, last = again(name, most=draw(st.integers(1, 3)), until=until, variables={"s": "s"}, ends={"s": "s"})
        own, key = f"v:{entry}", "s"
    sketch.parts.append(first)
    inside, leaves = _scope(draw, sketch, entry, (*(one for one in seen if one != name), own), depth + 1)
    given = _refers(draw, inside) or {"v0": at(f"{entry}.{'item' if name[0] == 'e' else 's'}")}
    sketch.parts.append(changed(last, inputs={key: next(iter(given.values()))}))
    sketch.ways += [f"{leaf} {out}" for leaf in leaves]
    return container


def _refers(draw: st.DrawFn, visible: Any) -> dict[str, Any]:
    sources = [f"{one.partition(':')[2] or one}.{output}" for one in visible for output in OUTPUTS[one[0]]]
    return {f"v{number}": at(one) for number, one in enumerate(draw(st.lists(st.sampled_from(sources), max_size=3, unique=True)))}


def _template(draw: st.DrawFn, refers: dict[str, Any]) -> str:
    return "".join(draw(st.lists(st.sampled_from([*(f"{{{{{name}}}}}" for name in refers), "-", "<", "{{nobody}}"]), max_size=5)))


@dataclass
class Teller:
    """Tells a run by chance: outcomes in any order, some twice, some late, owners that change, time that passes."""

    story: Story
    chance: Random
    spent: int = 0

    def tell(self, steps: int = 150) -> Story:
        story = self.story
        story.take(wish_to_start(q=self.chance.choice("xy"), items=["p", "q"]))
        for step in range(steps):
            if story.over:
                break
            if self.chance.random() < 0.08:
                story.take(TakenOver())
            elif not story.active.working:
                assert story.due is not None
                story.now = max(story.now, story.due)
                story.take(Due())
            else:
                self._outcome(last=step > steps // 2)
        return story

    def _outcome(self, *, last: bool) -> None:
        story = self.story
        place = self.chance.choice(sorted(story.active.working))
        node = story.active.nodes[place]
        told = Told(place, node.attempt, Done(self._usage()) if last else self._one(place), len(node.steps))
        before = story.active.usage.total_tokens
        story.take(told)
        if isinstance(told.outcome, Done) and told.outcome.usage and story.of("node.completed"):
            self.spent += told.outcome.usage.total_tokens
        del before
        if not story.over and self.chance.random() < 0.3 and not isinstance(told.outcome, Piece):
            assert story.take(told).events == [], "an outcome that is known leaves nothing"

    def _usage(self) -> Usage:
        tokens = self.chance.randrange(5)
        return Usage(input_tokens=tokens, output_tokens=1, total_tokens=tokens + 1)

    def _one(self, place: Place) -> Outcome:
        node = self.story.active.nodes[place]
        match self.chance.randrange(6):
            case 0:
                return Done(self._usage())
            case 1 if not len(node.content):
                return Piece("reasoning", self.chance.choice(("hm", "ü")))
            case 2 if self.chance.random() < 0.5:
                return Broke(Problem(code=20380, message="failed"))
            case _:
                return Piece("content", self.chance.choice(("a", "bc", '{"category_name": "tea"}')))
