"""Everything that is wrong with a document, and what looks like a mistake."""

import pytest

from services.core.language.validation import MOST, examine
from tests.support.flows import Part, at, changed, end, flow, joiner, llm, message, retry, start


def problems(document):
    return [(problem.code.value, problem.message.partition(": ")[0]) for problem in examine(document).problems]


def test_a_flow_that_is_as_it_should_be_has_neither_problems_nor_warnings():
    report = examine(
        flow(start(q="string"), joiner("j", "{{q}}", q=at("start.q")), end("{{o}}", o=at("j.output")), edges="start > j > end")
    )
    assert (report.problems, report.warnings) == ((), ())


def test_several_problems_are_told_at_once_the_one_that_decides_the_code_first():
    document = flow(
        start(), Part("a", "alien"), changed(joiner("j"), outputs={}), Part("b", "alien"), end(), edges="start > a > j > b > end"
    )
    assert problems(document) == [(22101, "alien::a"), (22101, "text-joiner::j"), (22101, "alien::b")]


def test_problems_of_nodes_and_of_edges_are_told_together():
    document = flow(
        start(), Part("a", "alien"), joiner("j", "x", q=at("start.nope")), end(), edges="start > a > end; start > gone; start > j"
    )
    found = problems(document)
    assert found[0] == (22101, "alien::a")
    assert (22300, "edge node-start") in [(code, text.partition("::")[0]) for code, text in found]


def test_dangling_references_are_told_one_by_one():
    document = flow(start(), joiner("a", q=at("start.x")), joiner("b", q=at("gone.y")), end(), edges="start > a > b > end")
    assert problems(document) == [(22101, "text-joiner::a"), (22101, "text-joiner::b")]


def test_a_document_that_has_no_shape_is_one_problem():
    assert problems({"data": {"nodes": 5}}) == [(20100, "data.nodes")]
    assert problems(None)[0][0] == 20100


def test_no_more_than_so_many_are_told():
    parts = [Part(f"a{n}", "alien") for n in range(50)]
    assert len(examine(flow(start(), *parts, end(), edges="start > end")).problems) == MOST


def warned(document):
    report = examine(document)
    assert report.problems == ()
    return list(report.warnings)


def test_a_placeholder_that_no_input_fills_is_a_warning():
    document = flow(start(q="string"), message("m", "{{q}} {{nope.k[0]}} {{nope}}", q=at("start.q")), end(), edges="start > m > end")
    said = "message::m: nodeParam.template: there is no input nope, so {{nope}} stays in the text as it is"
    assert warned(document) == [said]


def test_what_the_run_never_reaches_is_a_warning():
    assert warned(flow(start(), joiner("lost", "x"), end(), edges="start > end")) == [
        "text-joiner::lost: this node cannot be reached from the start node"
    ]


def test_several_ends_are_a_warning():
    (said,) = warned(flow(start(), end(), end(name="other"), edges="start > end,other"))
    assert said.startswith("data.nodes: 2 nodes of the kind node-end")


def test_a_failure_branch_needs_its_edge_and_a_failure_edge_its_strategy():
    (missing,) = warned(flow(start(), llm("m", retry=retry(2)), end(), edges="start > m > end"))
    assert "no failure edge leaves the node" in missing
    (unused,) = warned(flow(start(), llm("m"), joiner("j", "x"), end(), edges="start > m > end; m !> j > end"))
    assert "its failure edge is never followed" in unused


def test_a_branch_without_an_edge_is_a_warning():
    case = {"id": "branch_one_of::a", "level": 1, "logicalOperator": "and", "conditions": []}
    other = {**case, "id": "branch_one_of::b", "level": 999}
    part = Part("i", "if-else", {}, {}, {"cases": [case, other]})
    assert warned(flow(start(), part, end(), edges="start > i -branch_one_of::a-> end")) == [
        "if-else::i: no edge leaves the branch branch_one_of::b"
    ]


def test_a_handle_that_means_nothing_is_a_warning():
    (said,) = warned(flow(start(), joiner("j", "x"), end(), edges="start > j -branch_one_of::a-> end"))
    assert said == "text-joiner::j: this node chooses no branch, the sourceHandle branch_one_of::a means nothing"


@pytest.mark.parametrize("prompt", ["{{a}}", "{a}", "{{ b }}", "{{b", "{{a.b}}"])
def test_only_what_is_a_placeholder_is_looked_at(prompt):
    part = changed(joiner("j", prompt), inputs={"a": "x"})
    assert warned(flow(start(), part, end(), edges="start > j > end")) == []
