"""Rounds of iterations and loops: their results, their order, what is seen of them, and what becomes of failures in there."""

from typing import Any

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import Done, Piece
from services.core.running.run import GoOn
from tests.support.flows import Part, again, at, branch, changed, each, end, flow, joiner, llm, message, start, taking
from tests.support.spec import Story, told, wish_to_start

CONTINUE, IGNORE, PARALLEL = (
    {"errorStrategy": "continue"},
    {"errorStrategy": "ignore_error_output"},
    {"isParallel": True, "maxConcurrency": 2},
)


def over(*inner: Part, way: str = "all-in > all-out", line: Any = None, ends: Part | None = None, **more: Any):
    """An iteration over the parameter `items`."""
    parts = each("all", at("start.items"), line=line, **more)
    return flow(start(items="array"), *parts, *inner, ends or end(lines=at("all.line")), edges=f"start > all > end; {way}")


def asking(**more: Any):
    return over(llm("ask", "{{i}}", i=at("all-in.item")), way="all-in > ask > all-out", line=at("ask.output"), **more)


def lines(run: Story) -> Any:
    return run.last.outputs.words["lines"]


def rounds(run: Story) -> list[int]:
    return [one.round for one in run.of("round.opened")]


@pytest.mark.parametrize("items", [[], ["p"], ["p", "q", "p"]])
def test_element_i_of_the_output_is_what_round_i_gave(items):
    document = over(joiner("j", "<{{i}}>", i=at("all-in.item")), way="all-in > j > all-out", line=at("j.output"))
    run = told(document, items=items)
    assert lines(run) == [f"<{one}>" for one in items]
    assert [(one.round, one.of) for one in run.of("round.opened")] == [(number, len(items)) for number in range(len(items))]
    assert [one.path for one in run.of("node.completed", "j")] == [(number,) for number in range(len(items))]


def test_rounds_follow_one_another_and_see_only_their_own_element():
    run = told(asking(), items=["a", "b"])
    assert rounds(run) == [0]
    assert run.asked("ask", (0,)).messages[-1].content == "a"
    run.tell("ask", Done(), path=(0,))
    assert rounds(run) == [0, 1]
    assert run.asked("ask", (1,)).messages[-1].content == "b"


def test_what_a_round_leaves_behind_is_its_result():
    run = told(asking(), items=["a"] * 50)
    for number in range(49):
        run.tell("ask", Done(), path=(number,))
    assert len(run.active.nodes) == 5, "the start, the iteration, two of the round that is open, and the end that waits for all"


def test_a_round_gives_default_values_where_it_did_not_reach_its_end():
    document = over(
        branch("if", ("y", ("i", "is", "x")), ("n",), i=at("all-in.item"), x="x"), joiner("dead"),
        way=f"all-in > if; if {taking('y')} all-out; if {taking('n')} dead",
    )  # fmt: skip
    assert lines(told(document, items=["x", "y", "x"])) == ["x", "", "x"]


def test_messages_inside_are_shown_round_by_round_before_what_comes_after():
    document = over(message("say", "[{{i}}]", i=at("all-in.item")), way="all-in > say > all-out", ends=end("done {{l}}", l=at("all.line")))
    run = told(document, items=["a", "b"])
    assert run.text == '[a][b]done ["a", "b"]'


def test_a_message_inside_shows_a_model_s_words_as_they_come():
    document = over(llm("ask"), message("say", "[{{o}}]", o=at("ask.output")), way="all-in > ask > say > all-out", ends=end("done"))
    run = told(document, items=["a", "b"])
    run.tell("ask", _piece("x"), path=(0,))
    assert [text for _, _, text in run.shown()] == ["[", "x"]
    run.tell("ask", Done(), path=(0,)).tell("ask", _piece("y"), path=(1,)).tell("ask", Done(), path=(1,))
    assert run.text == "[x][y]done"


def _piece(text: str) -> Any:
    return Piece("content", text)


def test_a_failing_round_ends_the_run_with_the_node_s_code():
    run = told(asking(), items=["a", "b"]).fails("ask", 20380, "no credit", path=(0,))
    assert (run.last.type, run.last.code, run.last.node) == ("run.failed", 20380, "spark-llm::ask")
    assert rounds(run) == [0]


@pytest.mark.parametrize(("strategy", "expected"), [(CONTINUE, ["", "B"]), (IGNORE, ["B"])])
def test_an_iteration_may_go_on_after_a_failing_round(strategy, expected):
    run = told(asking(param=strategy), items=["a", "b"]).fails("ask", path=(0,))
    assert [(one.then, one.path) for one in run.of("node.failed")] == [("round", (0,))]
    assert [(one.round, one.problem.code) for one in run.of("round.completed")] == [(0, 20380)]
    assert lines(run.tell("ask", _piece("B"), path=(1,)).tell("ask", Done(), path=(1,))) == expected


def test_a_round_that_is_given_up_says_no_more_and_stops_its_effects():
    document = over(
        llm("a"), llm("b"), message("say", "<{{o}}>", o=at("a.output")),
        way="all-in > a,b > say > all-out", param=CONTINUE, ends=end("end {{l}}", l=at("all.line")),
    )  # fmt: skip
    run = told(document, items=["x", "y"]).tell("a", _piece("A"), path=(0,)).fails("b", path=(0,))
    assert {place[1] for place in run.active.working} == {(1,)}
    assert run.of("output.closed", "say")[0].path == (0,)
    for name in "ab":
        run.tell(name, Done(), path=(1,))
    assert run.text == '<A<>end ["", "y"]'


def test_rounds_may_be_open_side_by_side_but_never_more_than_allowed():
    run = told(asking(param=PARALLEL), items=["a", "b", "c", "d"])
    assert rounds(run) == [0, 1]
    run.tell("ask", _piece("B"), path=(1,)).tell("ask", Done(), path=(1,))
    assert rounds(run) == [0, 1, 2]
    for number in (2, 0, 3):
        run.tell("ask", _piece(f"{number}"), path=(number,)).tell("ask", Done(), path=(number,))
    assert lines(run) == ["0", "B", "2", "3"]


def test_what_parallel_rounds_show_comes_in_their_order():
    document = over(
        llm("ask"), message("say", "[{{o}}]", o=at("ask.output")), way="all-in > ask > say > all-out", param=PARALLEL, ends=end("")
    )
    run = told(document, items=["a", "b"])
    run.tell("ask", _piece("b"), path=(1,)).tell("ask", Done(), path=(1,))
    assert run.text == "["
    assert run.tell("ask", _piece("a"), path=(0,)).tell("ask", Done(), path=(0,)).text == "[a][b]"


def test_iterations_inside_iterations_keep_their_paths():
    inner = each("in", at("all-in.item"), item="x", line=at("j.output"))
    document = over(
        *inner, joiner("j", "<{{x}}{{all}}>", x=at("in-in.x"), all=at("all-in.item")),
        way="all-in > in > all-out; in-in > j > in-out", line=at("in.line"), outputs={"line": "array"},
    )  # fmt: skip
    run = told(document, items=[["a", "b"], [], ["c"]])
    assert lines(run) == [['<a["a", "b"]>', '<b["a", "b"]>'], [], ['<c["c"]>']]
    assert [one.path for one in run.of("node.completed", "j")] == [(0, 0), (0, 1), (2, 0)]


def test_two_iterations_side_by_side_do_not_mix():
    one, two = each("one", at("start.items")), each("two", at("start.items"))
    document = flow(
        start(items="array"), *one, *two, llm("a", "{{i}}", i=at("one-in.item")), end(x=at("one.line"), y=at("two.line")),
        edges="start > one,two > end; one-in > a > one-out; two-in > two-out",
    )  # fmt: skip
    run = told(document, items=["p", "q"])
    assert [one.path for one in run.of("round.completed", "two")] == [(), ()]
    run.tell("a", Done(), path=(0,)).tell("a", Done(), path=(1,))
    assert run.last.outputs.words == {"x": ["p", "q"], "y": ["p", "q"]}


def test_a_long_iteration_is_decided_in_bounded_steps():
    document = over(joiner("j", "{{i}}", i=at("all-in.item")), way="all-in > j > all-out", line=at("j.output"))
    story = Story(document)
    story.take(wish_to_start(items=[str(one) for one in range(300)]))
    assert lines(story) == [str(one) for one in range(300)]
    assert max(map(len, story.steps)) < 230


def test_an_iteration_goes_on_after_a_change_of_owner_where_it_was():
    run = told(asking(), items=["a", "b"]).tell("ask", _piece("A"), path=(0,)).tell("ask", Done(), path=(0,))
    run.tell("ask", _piece("B"), path=(1,)).taken_over()
    assert run.asked("ask", (1,)).recorded == "B"
    assert rounds(run) == [0, 1]
    assert run.take(GoOn()).events == []
    assert lines(run.tell("ask", Done(), path=(1,))) == ["A", "B"]


def test_an_output_beside_an_iteration_waits_for_nobody_who_waits_for_it():
    """The message has the floor and shows a model behind the iteration, which wants to show something itself."""
    document = over(
        message("in", "in", i=at("all-in.item")), llm("late"), message("beside", "{{o}}.", o=at("late.output")),
        way="start > beside > end; all-in > in > all-out; all > late > end", ends=end("end"),
    )  # fmt: skip
    run = told(document, items=["a"])
    assert run.say("late", "L").done("late").text == ".inend"


def test_a_value_of_another_type_than_an_array_fails_with_23200():
    document = asking()
    document["data"]["nodes"][0]["data"]["outputs"][0]["schema"] = {}
    run = told(document, items="text")
    assert (run.last.code, run.last.node, run.last.message) == (23200, "iteration::all", "all: input item must be an array")


def test_an_element_that_does_not_fit_the_start_s_output_fails_with_20601():
    document = asking()
    document["data"]["nodes"][2]["data"]["outputs"][0]["schema"] = {"type": "string"}
    assert told(document, items=[5]).last.code == 20601


COUNTING = {"variables": {"n": ("integer", 0), "s": "x"}, "ends": {"s": at("j.output")}}


def looping(most: int = 10, until: Any = (), inner: tuple[Part, ...] = (), way: str = "more-in > j > more-out", **more: Any):
    parts = again("more", most=most, until=until, **{**COUNTING, **more})
    return flow(
        start(), *parts, joiner("j", "{{s}}+", s=at("more-in.s")), *inner, end(s=at("more.s"), n=at("more.n")),
        edges=f"start > more > end; {way}"
    )  # fmt: skip


def test_a_loop_carries_its_variables_from_round_to_round_up_to_its_count():
    run = told(looping(3))
    assert run.last.outputs.words == {"s": "x+++", "n": 0}
    assert [one.values.words for one in run.of("round.opened")] == [{"n": 0, "s": "x"}, {"n": 0, "s": "x+"}, {"n": 0, "s": "x++"}]


@pytest.mark.parametrize(
    ("until", "result"), [([("s", "is", "x++")], "x++"), ([("var-s", "length_ge", 4)], "x+++"), ([("s", "regex_contains", "^x[+]$")], "x+")]
)
def test_a_loop_ends_when_its_conditions_hold_before_a_round(until, result):
    assert told(looping(until=until)).last.outputs.words["s"] == result


def test_a_loop_whose_condition_holds_at_once_has_no_round():
    run = told(looping(until=[("s", "is", "x")]))
    assert (run.last.outputs.words["s"], rounds(run)) == ("x", [])


def test_the_exit_node_makes_its_round_the_last():
    leaves = (
        branch("if", ("y", ("s", "is", "end")), ("n",), s=at("j.output"), end="x++"),
        Part("out", "loop-exit", {"s": at("j.output")}),
    )
    run = told(looping(inner=leaves, way=f"more-in > j > if; if {taking('y')} out; if {taking('n')} more-out"))
    assert run.last.outputs.words["s"] == "x++"
    assert [one.exit for one in run.of("round.completed")] == [False, True]


def test_a_first_value_may_be_a_reference_or_an_input_of_the_same_name():
    document = looping(1)
    param = document["data"]["nodes"][1]["data"]["nodeParam"]
    param["loopVariables"][1]["value"] = {"type": "ref", "content": {"nodeId": "node-start::start", "name": "s"}}
    document["data"]["nodes"][0]["data"]["outputs"] = [{"name": "s", "schema": {"type": "string", "default": "given"}}]
    assert told(document).last.outputs.words["s"] == "given+"


def test_a_condition_that_cannot_be_tested_fails_the_loop_with_23200():
    run = told(looping(until=[("n", "gt", "word")]))
    assert (run.last.code, run.last.node) == (23200, "loop::more")
    assert "termination: a number cannot be compared with 'word'" in run.last.message


@pytest.mark.parametrize("most", [0, -1, 101, "many"])
def test_a_count_outside_one_to_hundred_is_refused(most):
    with pytest.raises(Problem) as problem:
        compile_(looping(most))
    assert problem.value.message.startswith("loop::more: nodeParam.maxLoopCount")


REFUSED = {
    "22101 iteration::all: nodeParam.IterationStartNodeId": lambda: asking(param={"IterationStartNodeId": ""}),
    "22300 iteration::all: the body's start node iteration-node-start::no does not exist": lambda: asking(
        param={"IterationStartNodeId": "iteration-node-start::no"}
    ),
    "22300 iteration::all: the body's start node text-joiner::j must be of the kind iteration-node-start": lambda: over(
        joiner("j"), param={"IterationStartNodeId": "text-joiner::j"}
    ),
    "22101 iteration::all: no iteration-node-end can be reached": lambda: over(joiner("j"), way="all-in > j"),
    "22300 iteration-node-end::all-out: this node stands outside of all bodies and in": lambda: over(
        joiner("j"), way="all-in > j > all-out; start > j"
    ),
    "22300 node-end::end: this node stands": lambda: over(way="all-in > all-out > end"),
    "22300 data.edges: the graph has a cycle: iteration-node-end::all-out": lambda: over(joiner("j"), way="all-in > all-out > j > all-out"),
    "22101 loop-exit::x: loop-exit cannot stand in the body of iteration::all": lambda: over(
        Part("x", "loop-exit"), way="all-in > x; all-in > all-out"
    ),
    "22101 iteration-node-end::x: iteration-node-end cannot stand outside": lambda: over(
        Part("x", "iteration-node-end"), way="start > x; all-in > all-out"
    ),
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_body_that_does_not_hang_together_is_refused_with_its_nodes(said):
    with pytest.raises(Problem) as problem:
        compile_(REFUSED[said]())
    assert f"{problem.value.code:d} {problem.value.message}".startswith(said)


def test_an_iteration_without_its_array_is_refused():
    parts = each("all", at("start.items"))
    with pytest.raises(Problem, match="an iteration needs an input, its array"):
        compile_(flow(start(items="array"), changed(parts[0], inputs={}), *parts[1:], end(), edges="start > all > end; all-in > all-out"))


def test_what_stands_in_a_body_is_not_seen_from_outside():
    document = over(joiner("j", "x"), way="all-in > j > all-out", ends=end("{{x}}.", x=at("j.output")))
    assert told(document, items=["a"]).text == "."
