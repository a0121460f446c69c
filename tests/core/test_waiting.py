"""What an unfinished run waits for has a name."""

from services.core.running.waiting import Wait, waits_of
from tests.core.nodes.test_question_answer import MINUTE, direct, question
from tests.support.flows import at, each, end, flow, joiner, llm, retry, start
from tests.support.spec import NOW, Story, told


def named(story: Story) -> list[Wait]:
    return waits_of(story.active)


def test_an_effect_is_named_with_its_attempt():
    document = flow(start(), llm("ask", retry=retry(0, 2)), end("{{o}}", o=at("ask.output")), edges="start > ask > end")
    story = told(document).fails("ask")
    assert named(story) == [Wait("effect", "spark-llm::ask", (), "spark-llm", attempt=2, since=NOW)]


def test_rounds_and_what_happens_in_them_are_named():
    document = flow(
        start(items="array"), *each("all", at("start.items"), line=at("f.output")), llm("m", "{{i}}", i=at("all-in.item")),
        joiner("f", "{{o}}", o=at("m.output")), end(l=at("all.line")),
        edges="start > all > end; all-in > m > f > all-out",
    )  # fmt: skip
    story = told(document, items=["p", "q"])
    assert [(one.what, one.node, one.path, one.rounds) for one in named(story)] == [
        ("effect", "spark-llm::m", (0,), None),
        ("rounds", "iteration::all", (), (0,)),
    ]


def test_a_person_is_named_with_the_question_and_its_deadline():
    story = told(direct(), q="Lin")
    (one,) = named(story)
    assert (one.what, one.node, one.question, one.since, one.until) == ("answer", "question-answer::ask", 1, NOW, NOW + 3 * MINUTE)


def test_a_node_behind_another_in_line_waits_for_its_turn():
    document = flow(start(), question("a", "A?"), question("b", "B?"), end("x"), edges="start > a > end; start > b > end")
    assert [(one.what, one.node) for one in named(told(document))] == [
        ("answer", "question-answer::a"),
        ("turn to ask", "question-answer::b"),
    ]


def test_a_pause_before_another_attempt_is_named_with_its_end():
    document = flow(
        start(), llm("ask", retry={**retry(0, 2), "retryInterval": 5}), end("{{o}}", o=at("ask.output")), edges="start > ask > end"
    )
    (one,) = named(told(document).fails("ask"))
    assert (one.what, one.node, one.until) == ("pause", "spark-llm::ask", NOW + 5_000)
