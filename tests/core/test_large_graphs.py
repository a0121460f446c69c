"""A flow of diamonds has two to the power of hundreds of paths: nothing here may depend on their number (4.8, weak point 14)."""

from time import perf_counter

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.turn import Turn
from tests.support.flows import Part, at, branch, end, flow, joiner, llm, message, start, taking
from tests.support.spec import Story, wish_to_start

DIAMONDS = 666


def diamonds(count: int, *, branching: bool = False):
    """start > (left, right) > join > (left, right) > join …: three nodes each."""
    parts: list[Part] = [start(q="string")]
    ways: list[str] = []
    before = "start"
    for number in range(count):
        left, right, join = (f"{side}{number}" for side in ("l", "r", "j"))
        if branching:
            parts.append(branch(join, ("y", ("v", "is", "x")), ("n",), v=at("start.q"), x="x"))
        else:
            parts.append(joiner(join, "x"))
        parts += [joiner(left, "a"), joiner(right, "b")]
        ways.append(f"{before} > {left},{right} > {join}" if not branching or not number else _ways(before, left, right, join))
        before = join
    parts.append(end("done"))
    ways.append(f"{before} {taking('y')} end; {before} {taking('n')} end" if branching else f"{before} > end")
    return flow(*parts, edges="; ".join(ways))


def _ways(before: str, left: str, right: str, join: str) -> str:
    return f"{before} {taking('y')} {left} > {join}; {before} {taking('n')} {right} > {join}"


@pytest.mark.parametrize("branching", [False, True])
def test_two_thousand_nodes_of_diamonds_are_checked_and_run_in_linear_steps(branching, tell, monkeypatch):
    document = diamonds(DIAMONDS, branching=branching)
    looks = 0
    waits = Turn.still_waits

    def counted(self, place, why, nodes):
        nonlocal looks
        looks += 1
        return waits(self, place, why, nodes)

    monkeypatch.setattr(Turn, "still_waits", counted)
    began = perf_counter()
    story = Story(document)
    compiled = perf_counter()
    story.take(wish_to_start(q="x"), go_on=False)
    started = perf_counter()
    story.taken_over()
    ended = perf_counter()
    nodes, edges = len(story.graph.nodes), len(document["data"]["edges"])
    tell(
        f"{nodes} nodes, {edges} edges, {len(story.events)} events, {looks} looks: "
        f"checked {compiled - began:.2f} s, first step {started - compiled:.2f} s, all further steps {ended - started:.2f} s"
    )
    assert nodes == 2_000
    assert story.last.type == "run.completed"
    settled = len(story.of("node.completed")) + len(story.of("node.skipped"))
    assert settled == nodes
    assert looks <= (nodes + edges) + nodes * (len(story.steps) + 1)


def test_a_cycle_is_refused_with_its_nodes():
    document = diamonds(100)
    document["data"]["edges"].append({"sourceNodeId": "text-joiner::j7", "targetNodeId": "text-joiner::l7", "sourceHandle": ""})
    with pytest.raises(Problem) as problem:
        compile_(document)
    assert problem.value.code == 22300
    assert problem.value.message == "data.edges: the graph has a cycle: text-joiner::j7 → text-joiner::l7 → text-joiner::j7"


def test_hundreds_of_parallel_models_wait_together_and_settle_in_any_order():
    names = [f"m{number}" for number in range(300)]
    document = flow(
        start(), *(llm(one) for one in names), message("all", "{{v}}", v=at("m299.output")), end("!"),
        edges=f"start > {','.join(names)} > all > end",
    )  # fmt: skip
    story = Story(document).start()
    assert len(story.active.working) == 300
    first = story.steps[0]
    assert len(first) <= 200
    for one in reversed(names):
        story.say(one, one).done(one)
    assert story.text == "m299!"
