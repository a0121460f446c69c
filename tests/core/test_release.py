"""Whatever the order in which models speak: each output node shows exactly its rendered template, and they never interleave."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from events.node import NodeCompleted, NodeSkipped
from tests.support.random_flows import Plan, plans, tell
from tests.support.spec import Story


def final_text(story: Story, plan: Plan, name: str, template: str) -> str:
    """The template over the values as they are on the record, written anew."""
    completed = {one.node.partition("::")[2]: one for one in story.events if isinstance(one, NodeCompleted)}
    skipped = {one.node.partition("::")[2] for one in story.events if isinstance(one, NodeSkipped)}

    def value(found: re.Match[str]) -> str:
        reference = plan.refers[name].get(found[1])
        if reference is None:
            return found[0]
        node, _, output = reference.text.partition(".")
        if node in skipped:
            return ""
        problem = completed[node].problem
        if output == "errorCode":
            return str(problem.code if problem else 0)
        if output == "errorMessage":
            return problem.message if problem else ""
        return completed[node].outputs.words.get(output, "")

    return re.sub(r"\{\{(\w+)\}\}", value, template)


def check(story: Story, plan: Plan) -> None:
    order = [node for node, _, _ in story.shown()]
    assert [node for at, node in enumerate(order) if at == 0 or order[at - 1] != node] == list(dict.fromkeys(order)), "interleaved"
    for name, (reasoning, content) in plan.templates.items():
        if name[0] not in "me" or story.of("node.skipped", name):
            assert name not in order
            continue
        screen = story.screen(name)
        assert screen.content == final_text(story, plan, name, content)
        assert screen.reasoning == final_text(story, plan, name, reasoning)
        assert [stage for stage, _ in screen.pieces] == sorted((stage for stage, _ in screen.pieces), reverse=True), "thinking first"


@settings(max_examples=80)
@given(plans(), st.integers(0, 2**32))
def test_every_output_node_shows_its_rendered_template(plan, seed):
    story = tell(Story(plan.document), seed)
    assert story.over, "the run ends"
    assert story.last.type == "run.completed"
    check(story, plan)


@settings(max_examples=25)
@given(plans(), st.integers(0, 2**32))
def test_every_node_that_can_be_reached_is_completed_or_skipped(plan, seed):
    story = tell(Story(plan.document), seed)
    settled = [one.node for one in story.events if isinstance(one, NodeCompleted | NodeSkipped)]
    assert sorted(settled) == sorted(story.graph.nodes)
