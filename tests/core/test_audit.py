"""Content audit: what is judged when, what people see of it, and how a refusal ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.audit import AuditAsked, AuditJudged
from events.commands import AnswerQuestion
from events.node import Problem
from services.core.deciders import memory
from services.core.running.effects import Broke, Judgement, Piece
from services.core.running.node_run import AUDIT
from services.core.running.run import TakenOver, Told, due_at
from services.core.running.run_state import Active, NotStarted, RunState, evolve
from services.core.running.sentences import LIMIT, cut
from services.core.running.waiting import waits_of
from tests.core.nodes.test_question_answer import direct, question
from tests.support.audited import Audited, everything, tell, unjudged, without
from tests.support.flows import at, each, end, flow, llm, message, start, thinker
from tests.support.random_flows import Plan, plans
from tests.support.samples import words
from tests.support.spec import Story, wish_to_start

BAD = without("bad")


def asking(template="<{{out}}>", **more):
    return flow(
        start(q="string"), llm("ask", "{{q}}", q=at("start.q")), end(template, out=at("ask.output"), **more), edges="start > ask > end"
    )


def answer(story: Audited, content: str, event_type: str = "resume"):
    wish = AnswerQuestion(run="1", app="demo", by="demo", question=story.active.asked, event_type=event_type, content=words(content))
    return story.take(wish)


# cutting


@pytest.mark.parametrize(
    ("prefix", "text", "complete", "expected"),
    [
        ("", "no end yet", False, 0),
        ("", "One. Two", False, 4),
        ("", "One. Two. Thr", False, 9),
        ("", "一。二", False, 2),
        ("", "a; b", False, 2),
        ("begun ", "and done.", False, 9),
        ("", "the rest", True, 8),
        ("", "a, " + "b" * LIMIT, False, 2),
        ("", "b" * (LIMIT + 10), False, LIMIT),
        ("c" * 1000, "b" * 600, False, 500),
        ("", "One. " + "b" * LIMIT, True, 4),
        ("", "x" * (LIMIT - 1), False, 0),
    ],
)
def test_a_text_is_cut_after_sentences_then_after_weak_marks_then_at_the_limit(prefix, text, complete, expected):
    assert cut(prefix, text, complete=complete) == expected


# input


def test_no_node_begins_before_the_input_has_passed():
    document = flow(start(q="string", n="integer"), end("{{q}}", q=at("start.q")), edges="start > end")
    run = Audited(document, rule=None).start(q="hello", n=3)
    assert run.told == ["run.started", "audit.asked"]
    assert run.judged.text == 'Parameter "q" input is "hello",Parameter "n" input is "3".'
    assert run.judged.of == "input"
    run.judge()
    assert "node.started start" in run.told


def test_a_refused_input_ends_the_run_before_anything_began():
    run = Audited(asking(), rule=BAD).start(q="bad")
    assert run.told == ["run.started", "audit.asked", "audit.judged", "run.failed"]
    assert run.last.code == 21102
    assert "bad" not in run.last.message


# output


def test_text_comes_sentence_by_sentence_once_the_first_is_complete():
    run = Audited(asking("{{out}}"), rule=None).start(q="x").judge()
    run.say("ask", "One.")
    assert (run.judged.text, run.judged.pending, run.text) == ("One.", False, "")
    run.judge().say("ask", " Two", " and", " a half")
    assert run.text == "One."
    assert not run.waits, "later sentences wait until they are complete"
    run.say("ask", "; three")
    assert run.judged.text == " Two and a half;"
    assert run.judge().text == "One. Two and a half;"


def test_before_the_first_sentence_is_complete_all_of_it_so_far_is_judged_and_shown():
    run = Audited(asking("{{out}}"), rule=None).start(q="x").judge().say("ask", "It", " is")
    assert (run.judged.text, run.judged.pending) == ("It", True)
    run.judge()
    assert run.text == "It"
    assert (run.judged.text, run.judged.pending) == ("It is", True)
    run.judge().say("ask", " so.")
    assert run.text == "It is"
    assert (run.judged.text, run.judged.pending, run.judged.piece) == ("It is so.", False, 3)
    assert run.judge().text == "It is so."


def test_a_beginning_that_is_refused_waits_for_the_whole_sentence():
    run = Audited(asking("{{out}}"), rule=None).start(q="x").judge().say("ask", "It is ba")
    run.judge(passed=False)
    assert not run.over
    assert run.text == ""
    run.say("ask", "nana")
    assert not run.waits, "a part was refused, so the whole is waited for"
    run.say("ask", ".")
    assert (run.judged.text, run.judged.pending, run.judged.piece) == ("It is banana.", False, 1)
    assert run.judge().text == "It is banana."


def test_a_refused_sentence_ends_the_run_and_none_of_it_is_shown():
    run = Audited(asking("{{out}}"), rule=BAD).start(q="x").say("ask", "Good.", " So ", "bad", " it", " is.")
    assert run.last.code == 21103
    assert run.text == "Good."
    assert "bad" not in run.last.message
    assert unjudged(run.events) == []


def test_thinking_is_judged_by_itself_and_ends_where_the_answer_begins():
    document = flow(
        start(), thinker("ask"), end("A {{out}}", reasoning="R {{why}}.", out=at("ask.output"), why=at("ask.REASONING_CONTENT")),
        edges="start > ask > end",
    )  # fmt: skip
    run = Audited(document).start().think("ask", "hm", " so").say("ask", "tea", ". yes").done("ask")
    assert (run.reasoning, run.text) == ("R hm so.", "A tea. yes")
    stages = [(one.stage, one.ends_stage) for one in run.asked_for if one.of == "output"]
    assert ("reasoning", True) in stages
    assert stages[-1] == ("content", True)
    assert run.asked_for[-1].ends


def test_what_an_output_node_says_last_is_judged_when_it_is_done():
    document = flow(start(q="string"), message("m", "Hello {{q}}", q=at("start.q")), llm("ask"), end("."), edges="start > m > ask > end")
    assert Audited(document).start(q="x").text == "Hello x"


def test_an_output_node_is_opened_for_people_only_after_the_one_before_was_shown():
    document = flow(
        start(q="string"),
        message("a", "one", q=at("start.q")),
        message("b", "two", q=at("start.q")),
        end("end"),
        edges="start > a > b > end",
    )
    run = Audited(document, rule=None).start(q="x").judge()
    assert [one.type for one in run.events if one.type.startswith("output.") and one.type != "output.held"] == ["output.opened"]
    while run.waits:
        run.judge()
    assert run.over
    assert [text for _, _, text in run.shown()] == ["one", "two", "end"]


def test_the_run_is_not_complete_before_all_of_it_was_shown():
    run = Audited(asking(None), rule=None).start(q="x").judge().say("ask", "tea").done("ask")
    assert not run.over
    assert [one.what for one in waits_of(run.active)] == ["audit"]
    assert run.judge().over
    assert run.last.type == "run.completed"


def test_a_failure_of_the_run_comes_at_once_and_drops_what_was_held():
    run = Audited(asking("{{out}}"), rule=None).start(q="x").judge().say("ask", "half")
    run.fails("ask")
    assert run.last.type == "run.failed"
    assert run.text == ""


def test_rounds_show_everything_before_they_are_complete():
    body = (*each("each", at("start.items")), message("say", "item {{i}}", i=at("each-in.item")))
    ways = "start > each > end; each-in > say > each-out"
    run = Audited(flow(start(items="array"), *body, end("done"), edges=ways), rule=None).start(items=["a", "b"]).judge()
    while not run.over:
        assert len(run.of("round.completed")) == len(run.of("output.closed", "say"))
        run.judge()
    assert run.text == "item aitem bdone"


# questions and answers


def test_a_question_is_put_after_it_has_passed_and_its_answer_counts_after_that():
    run = Audited(direct(), rule=None).start(q="Lin").judge()
    assert (run.judged.of, run.judged.text) == ("question", "Lin, your name?")
    assert not run.of("question.asked")
    run.judge()
    assert run.last.type == "question.asked"
    assert answer(run, "Ada").events[0].type == "answer.held"
    assert (run.judged.of, run.judged.text) == ("answer", "Ada")
    assert not run.of("question.answered")
    run.judge()
    assert run.of("question.answered")
    run.judge()
    assert run.over
    assert '"content":"Ada"' in run.text


def test_a_refused_question_is_never_put():
    run = Audited(direct(), rule=without("name")).start(q="Lin")
    assert run.last.code == 21104
    assert not run.of("question.asked")


def test_a_refused_answer_leaves_the_question_open():
    run = Audited(direct(), rule=BAD).start(q="Lin")
    answer(run, "bad")
    assert (run.last.type, run.last.code) == ("answer.refused", 21102)
    assert run.active.question is not None
    answer(run, "Ada")
    assert run.over
    assert "bad" not in run.text


def test_a_second_answer_is_busy_while_the_first_is_judged():
    run = Audited(direct(), rule=None).start(q="Lin").judge().judge()
    answer(run, "Ada")
    (refused,) = answer(run, "Bob").events
    assert refused.code == 23901


def test_an_answer_without_words_counts_at_once():
    run = Audited(direct(), rule=None).start(q="Lin").judge().judge()
    answer(run, "", "ignore")
    assert run.of("question.answered")
    assert not run.of("answer.held")


def test_what_was_said_before_a_question_is_shown_before_it():
    document = flow(
        start(q="string"), message("m", "Wait {{q}}", q=at("start.q")), question(who=at("start.q")), end("."), edges="start > m > ask > end"
    )
    run = Audited(document).start(q="x")
    assert run.told.index("output.closed m") < run.told.index("question.asked ask")


# no verdict


def test_a_provider_that_fails_ends_the_run_without_showing_anything():
    run = Audited(asking("{{out}}"), rule=None).start(q="x").judge().say("ask", "One.")
    run.verdict(Broke(Problem(code=21101, message="the audit service cannot be reached")))
    assert (run.last.type, run.last.code) == ("run.failed", 21101)
    assert run.text == ""


def test_another_failure_than_the_provider_s_is_the_audit_s_own():
    run = Audited(asking(), rule=None).start(q="x")
    run.verdict(Broke(Problem(code=22302, message="a bug")))
    assert run.last.code == 21100


def test_a_verdict_that_never_comes_is_a_failure():
    run = Audited(asking(), rule=None).start(q="x")
    assert run.due == due_at(run.state, run.graph, run.limits)
    run.wait(run.limits.audit_ms)
    assert run.last.code == 21101


def test_an_answer_that_cannot_be_judged_is_refused_and_the_question_stays():
    run = Audited(direct(), rule=None).start(q="Lin").judge().judge()
    answer(run, "Ada")
    run.verdict(Broke(Problem(code=21101, message="down")))
    assert (run.last.type, run.last.code) == ("answer.refused", 21101)
    assert run.active.question is not None


# owners


def test_a_new_owner_asks_again_for_the_verdict_that_is_missing():
    run = Audited(asking("{{out}}"), rule=None).start(q="x").judge().say("ask", "One.")
    before = run.judged
    run.taken_over()
    asked = run.of(AuditAsked.type)[-1]
    assert (asked.number, asked.attempt) == (2, 2)
    assert run.judged == before
    assert run.text == ""
    run.take(Told(AUDIT, 1, Judgement("test", passed=True), 2))
    assert run.text == "", "the verdict of the attempt before comes too late"
    assert run.judge().text == "One."


def test_a_verdict_says_what_it_is_about_by_digest_and_never_by_words():
    run = Audited(asking("{{out}}")).start(q="secret words").say("ask", "secret answer.").done("ask")
    told = [one.model_dump_json() for one in run.events if one.type.startswith("audit.")]
    assert told
    assert not any("secret" in one for one in told)
    verdict = next(one for one in run.events if isinstance(one, AuditJudged) and one.of == "output")
    assert verdict.digest == run.of(AuditAsked.type)[verdict.number - 1].digest


# laws


@settings(max_examples=60)
@given(plans(), st.integers(0, 2**32))
def test_nothing_is_shown_before_its_verdict_whatever_comes_when(plan: Plan, seed: int):
    run = tell(Audited(plan.document, rule=None), seed)
    assert unjudged(run.events) == []


@settings(max_examples=40)
@given(plans(), st.lists(st.sampled_from(["a", "Yes. ", "so, ", "x\n"]), max_size=6))
def test_where_everything_passes_people_see_what_they_would_see_without_audit(plan: Plan, texts: list[str]):
    def whole(run: Story) -> tuple[list[tuple[str, str, str]], str]:
        for _ in range(40):
            if run.over:
                break
            place = min(run.active.working)
            for text in texts:
                run.take(Told(place, run.active.nodes[place].attempt, Piece("content", text)))
                if run.over:
                    break
            else:
                run.done(place[0].partition("::")[2])
        return together(run.shown()), run.last.type

    plain = Story(plan.document)
    plain.take(wish_to_start(q="Q"))
    audited = Audited(plan.document, rule=everything).start(q="Q")
    assert whole(audited) == whole(plain)


def together(shown: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Pieces of one node and stage as one text."""
    found: list[tuple[str, str, str]] = []
    for node, stage, text in shown:
        if text and found and found[-1][:2] == (node, stage):
            found[-1] = (node, stage, found[-1][2] + text)
        elif text:
            found.append((node, stage, text))
    return found


@settings(max_examples=30)
@given(plans(), st.integers(0, 2**32), st.integers(0, 400))
def test_a_new_owner_goes_on_with_what_is_held(plan: Plan, seed: int, at_: int):
    """Snapshots and takeovers anywhere: the fold in two halves is the fold."""
    run = tell(Audited(plan.document, rule=None), seed)
    state: RunState = NotStarted()
    for number, event in enumerate(run.events):
        state = evolve(state, event, run.now)
        if number == at_ and isinstance(state, Active):
            assert memory.decode(*memory.encode(state)) == state


def test_taking_over_twice_keeps_one_judgement():
    run = Audited(asking(), rule=None).start(q="x")
    run.take(TakenOver())
    run.take(TakenOver())
    assert [one.attempt for one in run.of(AuditAsked.type)] == [1, 2, 3]
    assert {one.number for one in run.of(AuditAsked.type)} == {1}
