"""`if-else`: which case holds, in which order, and what is refused (4.9.6)."""

import pytest

from services.core.language.conditions import holds, together
from services.core.language.graph import compile_
from services.core.problems import Problem
from tests.support.flows import at, branch, changed, end, flow, joiner, start, taking
from tests.support.spec import told

Y, N = taking("y"), taking("n")


def two_ways(*cases, inputs, edges=f"start > if; if {Y} yes > end; if {N} no > end", **outputs):
    return flow(
        start(**outputs), branch("if", *cases, **inputs), joiner("yes", "yes"), joiner("no", "no"),
        end("{{y}}{{n}}", y=at("yes.output"), n=at("no.output")), edges=edges,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        ("green tea", "contains", "tea", True), ("", "contains", "", True), ("", "contains", "x", False), (["a"], "contains", "a", True),
        (["a"], "contains", "b", False), (5, "contains", "5", False), ({"a": 1}, "contains", "a", False),
        ("tea", "not_contains", "x", True), ("", "not_contains", "x", True), ("", "not_contains", "", False),
        ([1], "not_contains", 2, True),
        (5, "not_contains", "6", False), ("tea", "start_with", "te", True), ("", "start_with", "", False),
        (["tea"], "start_with", "t", False),
        ("tea", "end_with", "ea", True), ("", "end_with", "", False), ("a", "is", "a", True), ("a", "is", "b", False), (5, "is", "5", True),
        ("a", "is_not", "b", True), (5, "is_not", "6", True), (None, "is", None, False), (None, "is_not", "a", False),
        (5, "eq", "5", True), (5, "eq", "5.0", True), (2.5, "gt", "2.4", True), (5, "gt", 4.5, True), (5, "ge", "5", True),
        (5, "lt", "6", True),
        (5, "le", "5", True), (5, "ne", "6", True), ("a", "eq", "a", True), ("a", "ne", "b", True), ("b", "gt", "a", False),
        (None, "eq", 0, False), (None, "gt", 0, False), (True, "is", "true", True), (False, "eq", "TRUE", False), (True, "gt", 0, False),
        ("", "empty", None, True), (" \n", "empty", None, True), ("x", "empty", None, False), ([], "empty", None, True),
        ({}, "empty", None, True),
        (0, "empty", None, True), (False, "empty", None, True), (None, "empty", None, False), (None, "not_empty", None, True),
        ([0], "not_empty", None, True), (None, "null", None, True), ("", "null", None, False), ("", "not_null", None, True),
        ("abc", "length_eq", "3", True), ([1, 2], "length_gt", 1, True), ({"a": 1}, "length_le", 1, True), (3, "length_ge", 1, False),
        ("tea 12", "regex_contains", "[0-9]{2}$", True), ("tea", "regex_not_contains", "[0-9]", True),
    ],
)  # fmt: skip
def test_an_operator_holds_as_the_table_says(left, operator, right, expected):
    assert holds(left, operator, right) is expected


@pytest.mark.parametrize(
    ("logic", "found", "expected"), [("and", [True, False], False), ("or", [True, False], True), ("and", [], False), ("or", [], False)]
)
def test_conditions_are_joined(logic, found, expected):
    assert together(logic, found) is expected


def test_a_number_is_not_compared_with_a_word():
    with pytest.raises(Problem) as problem:
        holds(5, "gt", "word")
    assert (problem.value.code, problem.value.message) == (23100, "a number cannot be compared with 'word'")


def test_the_first_case_that_holds_is_taken_and_the_others_are_skipped():
    document = two_ways(("y", ("v", "is", "x")), ("n", ("v", "is", "x")), inputs={"v": at("start.v"), "x": "x"}, v="string")
    run = told(document, v="x")
    assert run.text == "yes"
    assert [one.by for one in run.of("node.skipped", "no")] == ["if-else::if"]
    (done,) = run.of("node.completed", "if")
    assert (done.handle, done.outputs.words) == ("branch_one_of::y", {"res": True})


def test_the_else_is_taken_when_it_is_reached_even_before_a_case_that_holds():
    document = two_ways(("y",), ("n", ("v", "is", "x")), inputs={"v": at("start.v"), "x": "x"}, v="string")
    assert told(document, v="x").text == "yes"


@pytest.mark.parametrize(("a", "b", "text"), [("x", "z", "yes"), ("z", "x", "yes"), ("z", "z", "no")])
def test_an_or_needs_one(a, b, text):
    document = two_ways(
        ("y", "or", ("a", "is", "x"), ("b", "is", "x")), ("n",), inputs={"a": at("start.a"), "b": at("start.b"),
        "x": "x"}, a="string", b="string"
    )  # fmt: skip
    assert told(document, a=a, b=b).text == text


def test_a_case_that_cannot_be_evaluated_is_passed_over():
    document = two_ways(("y", ("v", "gt", "word")), ("n",), inputs={"v": ("integer", 5), "word": "word"})
    assert told(document).text == "no"


def test_without_a_match_and_without_an_else_the_node_fails_and_takes_no_false_case():
    document = two_ways(("y", ("v", "is", "x")), ("n", ("v", "is", "y")), inputs={"v": "z", "x": "x", "y": "y"})
    run = told(document)
    assert (run.last.type, run.last.code, run.last.node) == ("run.failed", 23100, "if-else::if")
    assert run.last.message == "Branch not found: no case of if holds, and it has no else (level 999)"


def test_a_case_without_an_edge_fails_only_when_it_is_chosen():
    document = two_ways(
        ("y", ("v", "is", "x")), ("n", ("v", "is", "y")), ("e",), inputs={"v": at("start.v"), "x": "x", "y": "y"}, v="string"
    )
    assert told(document, v="x").text == "yes"
    run = told(document, v="other")
    assert (run.last.code, run.last.message) == (22301, "Branch not found: no edge leaves if at branch_one_of::e")


@pytest.mark.parametrize("edges", ["start > if > yes > end", f"start > if; if {taking('z')} yes > end"])
def test_an_edge_that_names_no_case_is_refused_with_the_cases(edges):
    with pytest.raises(Problem) as problem:
        compile_(two_ways(("y", ("v", "is", "v")), ("n",), inputs={"v": "z"}, edges=edges))
    assert problem.value.code == 22300
    assert "if-else::if → text-joiner::yes" in problem.value.message
    assert "branch_one_of::n, branch_one_of::y" in problem.value.message


@pytest.mark.parametrize(
    ("case", "place"),
    [
        ({"id": "y", "level": 1}, "cases.0.id"), ({"id": "branch_one_of::y", "level": 0}, "cases.0.level"),
        ({"id": "branch_one_of::y", "level": 1, "logicalOperator": "xor"}, "cases.0.logicalOperator"),
        ({"id": "branch_one_of::y", "level": 1, "conditions": [{"leftVarIndex": "in-v", "compareOperator": "like"}]}, "compareOperator"),
        ({"id": "branch_one_of::n", "level": 1}, "nodeParam.cases.1.id: two cases"),
        ({"id": "branch_one_of::y", "level": 1, "conditions": [{"leftVarIndex": "gone", "compareOperator": "null"}]},
        "conditions.0.leftVarIndex"),
    ],
)  # fmt: skip
def test_a_wrong_case_is_refused_with_its_place(case, place):
    good = branch("if", ("y", ("v", "null", "v")), ("n",), v="z")
    document = flow(
        start(), changed(good, param={"cases": [case, good.param["cases"][1]]}), end(), edges=f"start > if; if {Y} end; if {N} end"
    )
    with pytest.raises(Problem) as problem:
        compile_(document)
    assert place in problem.value.message


def test_one_case_alone_is_refused():
    with pytest.raises(Problem, match=r"nodeParam\.cases"):
        compile_(flow(start(), branch("if", ("y",)), end(), edges=f"start > if; if {Y} end"))
