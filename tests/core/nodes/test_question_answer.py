"""`question-answer`: what is asked, what an answer means (5.4), what happens to those who wait in line, and to time."""

from dataclasses import replace

import pytest

from events.commands import AnswerQuestion
from events.envelope import Protected
from events.question import Option
from events.run import Usage
from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import ModelRequest
from services.core.running.run_state import Active
from services.core.running.turn import Limits
from tests.support.flows import Part, at, each, end, flow, joiner, llm, message, start
from tests.support.spec import Story, told

MINUTE = 60_000
OPTIONS = (("t", "A", "Tea"), ("c", "B", "Coffee"), ("d", "default", ""))


def question(name="ask", text="{{who}}, your name?", *, options=(), outputs=None, timeout=3, need_reply=False, param=None, **inputs):
    known = {"query": "string", "content": "string", **({"id": {"type": "string", "default": "default"}} if options else {})}
    offered = [
        {"id": f"option-one-of::{id_}", "name": name_, "type": 1 if name_ == "default" else 2, "content_type": "string", "content": said}
        for id_, name_, said in options
    ]
    return Part(
        name,
        "question-answer",
        inputs,
        known if outputs is None else outputs,
        {
            "question": text,
            "answerType": "option" if options else "direct",
            "timeout": timeout,
            "needReply": need_reply,
            "directAnswer": {"handleResponse": False, "maxRetryCounts": 2},
            "optionAnswer": offered,
            **(param or {}),
        },
    )


def direct(**more):
    asks = question(who=at("start.q"), **more)
    return flow(start(q="string"), asks, end(query=at("ask.query"), content=at("ask.content")), edges="start > ask > end")


def optional(options=OPTIONS, **more):
    """Each option leads to a message of its own."""
    asks = question(text="Which, {{who}}?", options=options, who=at("start.q"), **more)
    says = [message(f"m{id_}", f"{id_}:{{{{c}}}}", c=at("ask.content")) for id_, _, _ in options]
    ways = "; ".join(f"ask -option-one-of::{id_}-> m{id_} > end" for id_, _, _ in options)
    return flow(start(q="string"), asks, *says, end("|{{i}}|{{c}}", i=at("ask.id"), c=at("ask.content")), edges=f"start > ask; {ways}")


def asked(document, limits=None) -> Story:
    story = Story(document, limits).start(q="Lin")
    assert story.active.question is not None
    return story


def wish_to_answer(content="", event_type="resume", *, number=1, app="demo"):
    words = Protected[str](subject="demo/u", words=content)
    return AnswerQuestion(run="1", app=app, by=app, question=number, event_type=event_type, content=words)


def answer(story: Story, content="", event_type="resume", *, number=None, app="demo"):
    number = story.active.asked if number is None else number
    return story.take(wish_to_answer(content, event_type, number=number, app=app)).events


def refusal(story: Story, **more) -> int:
    """The code of the refusal of an answer."""
    (refused,) = story.take(wish_to_answer("x", **more)).events
    assert refused.type == "command.refused"
    return refused.code


# What is asked


def test_a_direct_question_is_asked_with_its_deadline_and_the_run_waits_for_nothing_else():
    story = asked(direct())
    put = story.last
    assert (put.type, put.question, put.kind, put.text.words, put.options, put.need_reply) == (
        "question.asked", 1, "direct", "Lin, your name?", None, False,
    )  # fmt: skip
    assert put.deadline == story.now + 3 * MINUTE == story.due
    assert (story.active.working, story.active.line) == (frozenset(), (("question-answer::ask", ()),))


def test_an_option_question_is_asked_with_its_rendered_options():
    story = asked(optional([("t", "A", "Tea for {{who}}"), ("d", "default", "")], need_reply=True))
    assert story.last.options.words == (
        Option(name="A", text="Tea for Lin", handle="option-one-of::t"),
        Option(name="default", text="", handle="option-one-of::d", is_default=True),
    )
    assert story.last.need_reply


# What an answer means


def test_a_direct_answer_becomes_the_content_and_the_run_goes_on():
    story = asked(direct())
    events = answer(story, "my name is Bo")
    assert events[0].type == "question.answered"
    assert (events[0].question, events[0].event_type, events[0].content.words, events[0].by) == (1, "resume", "my name is Bo", "demo")
    assert story.last.outputs.words == {"query": "Lin, your name?", "content": "my name is Bo"}


def test_further_outputs_of_a_direct_question_hold_their_defaults():
    document = direct(outputs={"query": "string", "content": "string", "n": "integer"})
    story = asked(document)
    answer(story, "x")
    assert story.outputs("ask") == {"query": "Lin, your name?", "content": "x", "n": 0}


@pytest.mark.parametrize(
    ("said", "shown"),
    [("A", "t:Tea|A|Tea"), ("B", "c:Coffee|B|Coffee"), *((other, "d:|default|") for other in ("zzz", "Tea", "option-one-of::t", "", "a"))],
)
def test_an_option_is_chosen_by_its_name_only(said, shown):
    story = asked(optional())
    answer(story, said)
    assert (story.text, story.last.type) == (shown, "run.completed")


def test_a_default_option_that_is_listed_first_always_wins():
    story = asked(optional([OPTIONS[2], OPTIONS[0], OPTIONS[1]]))
    answer(story, "B")
    assert story.text == "d:|default|"


def test_no_fitting_option_and_no_default_one_is_23800():
    story = asked(optional(OPTIONS[:2]))
    answer(story, "zzz")
    assert (story.last.type, story.last.code) == ("run.failed", 23800)


@pytest.mark.parametrize("document", [direct, optional])
@pytest.mark.parametrize(("event_type", "need_reply"), [("ignore", True), ("abort", True), ("abort", False), ("other", False)])
def test_answers_that_cannot_be_used_end_the_run_with_23802(document, event_type, need_reply):
    story = asked(document(need_reply=need_reply))
    answer(story, "", event_type)
    assert [one.type for one in story.events[-4:]] == ["question.answered", "node.step_completed", "node.failed", "run.failed"]
    assert story.last.code == 23802


def test_ignoring_a_direct_question_leaves_defaults_and_the_content():
    story = asked(direct())
    answer(story, "so", "ignore")
    assert story.outputs("ask") == {"query": "", "content": "so"}


def test_ignoring_an_option_question_takes_the_default_branch():
    story = asked(optional())
    answer(story, "A", "ignore")
    assert story.text == "d:|default|"


def test_ignoring_an_option_question_without_a_default_one_is_23800():
    story = asked(optional(OPTIONS[:2]))
    answer(story, "", "ignore")
    assert story.last.code == 23800


# Slots


CITY = {"type": "string", "description": "the city"}
MODEL = {"source": "openai", "model": "m", "domain": "d", "apiKey": "ref", "url": "http://m/v1", "instruction": "Be strict."}


def slotted(required=("city",), retries=2, **more):
    slots = {"query": "string", "content": "string", "city": CITY, "n": "integer"}
    settings = {**MODEL, "directAnswer": {"handleResponse": True, "maxRetryCounts": retries}}
    asks = replace(question(who=at("start.q"), outputs=slots, param=settings, **more), required=required)
    return flow(start(q="string"), asks, end(city=at("ask.city"), n=at("ask.n"), c=at("ask.content")), edges="start > ask > end")


def test_a_model_reads_a_handled_answer_with_the_slots_and_what_was_said():
    story = asked(slotted())
    events = answer(story, "in Hefei, two of us")
    assert [one.type for one in events] == ["question.answered", "node.step_completed"]
    assert (events[-1].awaits, story.active.question) == ("effect", None)
    request = story.asked("ask")
    assert isinstance(request, ModelRequest)
    system, put, said = request.messages
    assert (request.app, request.key, request.model, request.url) == ("demo", "ref", "d", "http://m/v1")
    assert '"city": {"type": "string", "description": "the city"}' in system.content
    assert '"required": ["city"]' in system.content
    assert system.content.endswith("Be strict.")
    assert (put.role, put.content, said.role, said.content) == ("assistant", "Lin, your name?", "user", "in Hefei, two of us")


@pytest.mark.parametrize(
    ("text", "city", "number"),
    [
        ('```json\n{"city": "Hefei"}\n```', "Hefei", 0),
        ('{"city": "Hefei", "n": 2, "other": 1}', "Hefei", 2),
        ('{"city": "Hefei", "n": "two"}', "Hefei", 0),
    ],
)
def test_the_slots_are_what_the_model_found(text, city, number):
    story = asked(slotted())
    answer(story, "so")
    usage = Usage(input_tokens=3, output_tokens=4, total_tokens=7)
    story.say("ask", text).done("ask", usage)
    assert story.outputs("ask") == {"query": "Lin, your name?", "content": "so", "city": city, "n": number}
    assert story.of("node.completed", "ask")[0].raw_output.words == text
    assert (story.last.type, story.last.usage) == ("run.completed", usage)


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ('{"n": 2, "follow_up": "And which city?"}', "And which city?"),
        ('{"n": 2}', "Please also tell: city (the city)"),
        ("I do not know", "Please also tell: city (the city)"),
        ('{"city": ""}', "Please also tell: city (the city)"),
        ("[1]", "Please also tell: city (the city)"),
    ],
)
def test_what_is_missing_is_asked_for_and_what_was_said_is_kept(text, asks):
    story = asked(slotted())
    answer(story, "two of us")
    story.now += MINUTE
    story.say("ask", text).done("ask")
    put = story.last
    assert (put.type, put.question, put.kind, put.text.words, put.follow_up) == ("question.asked", 2, "direct", asks, 1)
    assert put.deadline == story.now + 3 * MINUTE
    answer(story, "Hefei")
    request = story.asked("ask")
    assert isinstance(request, ModelRequest)
    assert [one.content for one in request.messages[1:]] == ["Lin, your name?", "two of us", asks, "Hefei"]
    assert request.recorded == ""
    story.say("ask", '{"city": "Hefei"}').done("ask")
    found = story.outputs("ask")
    assert (found["city"], found["content"], found["n"]) == ("Hefei", "Hefei", 2 if '"n": 2' in text else 0)


def test_after_enough_further_questions_the_run_fails_with_23803():
    story = asked(slotted(retries=1))
    for number in (1, 2):
        assert story.active.asked == number
        answer(story, "hm")
        story.say("ask", "{}").done("ask")
    assert (story.last.type, story.last.code) == ("run.failed", 23803)
    assert "city" in story.last.message


def test_a_further_question_may_be_ignored_or_expire_like_any_other():
    story = asked(slotted())
    answer(story, "hm")
    story.say("ask", "{}").done("ask")
    assert not story.over
    answer(story, "", "ignore")
    assert story.outputs("ask")["city"] == ""
    late = asked(slotted())
    answer(late, "hm")
    late.say("ask", "{}").done("ask").wait(3 * MINUTE)
    assert late.last.code == 23900


def test_others_in_line_wait_until_the_whole_conversation_is_over():
    handled = question(outputs={"city": CITY}, param={**MODEL, "directAnswer": {"handleResponse": True}})
    document = flow(
        start(q="string"), replace(handled, required=("city",)),
        question("also", "right?"), end(a=at("ask.city"), b=at("also.content")), edges="start > ask,also > end",
    )  # fmt: skip
    story = asked(document)
    answer(story, "hm")
    assert story.active.question is None
    story.say("ask", "{}").done("ask")
    assert story.active.question.place[0] == "question-answer::ask"
    answer(story, "Hefei")
    story.say("ask", '{"city": "Hefei"}').done("ask")
    assert story.active.question.place[0] == "question-answer::also"


def test_an_answer_while_the_model_reads_is_23901_and_the_reading_goes_on_with_a_new_owner():
    story = asked(slotted())
    answer(story, "so")
    assert refusal(story) == 23901
    story.say("ask", '{"city": ').taken_over()
    assert story.asked("ask").recorded == '{"city": '
    story.say("ask", '"Hefei"}').done("ask")
    assert story.outputs("ask")["city"] == "Hefei"


def test_a_model_that_fails_to_read_ends_the_run_with_its_own_code():
    story = asked(slotted())
    answer(story, "so")
    assert story.fails("ask").last.code == 20380


def test_a_handled_question_without_slots_takes_the_answer_as_it_is():
    story = asked(direct(param={**MODEL, "directAnswer": {"handleResponse": True, "maxRetryCounts": 2}}))
    answer(story, "Bo")
    assert story.outputs("ask")["content"] == "Bo"


# One answer


def test_a_second_answer_is_refused_with_23901_while_the_run_goes_on():
    document = flow(
        start(q="string"),
        question(),
        llm("say", "{{c}}", c=at("ask.content")),
        end("{{o}}", o=at("say.output")),
        edges="start > ask > say > end",
    )
    story = asked(document)
    answer(story, "one")
    (refused,) = answer(story, "two")
    assert (refused.type, refused.code, refused.wished) == ("command.refused", 23901, "question.answer")
    assert story.say("say", "fine").done("say").text == "fine"


def test_an_answer_to_an_earlier_question_never_answers_the_next_one():
    story = asked(two_in_a_row())
    answer(story, "one")
    (refused,) = answer(story, "two", number=1)
    assert refused.code == 23901
    assert story.active.question.number == 2


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_answer_to_a_question_that_was_never_asked_is_23900(number):
    (refused,) = answer(asked(direct()), "x", number=number)
    assert refused.code == 23900


def test_an_answer_before_the_start_and_after_the_end_is_23900():
    story = asked(direct())
    answer(story, "x")
    assert refusal(story) == 23900
    assert refusal(Story(direct())) == 23900


def test_only_the_runs_own_app_may_answer():
    story = asked(direct())
    assert refusal(story, app="stranger") == 20005
    answer(story, "x")
    assert refusal(story, app="stranger") == 20005


# One question at a time


def two_in_a_row():
    return flow(
        start(q="string"), question("ask", "first?"), question("again", "second after {{a}}?", a=at("ask.content")),
        end(a=at("ask.content"), b=at("again.content")), edges="start > ask > again > end",
    )  # fmt: skip


def side_by_side():
    return flow(
        start(q="string"), question("ask", "left?"), question("also", "right?"), message("say", "one moment"),
        end(a=at("ask.content"), b=at("also.content")), edges="start > ask,also > end; start > say > end",
    )  # fmt: skip


def test_two_questions_in_a_row_are_asked_one_after_the_other():
    story = asked(two_in_a_row())
    answer(story, "one")
    assert (story.last.question, story.last.text.words) == (2, "second after one?")
    answer(story, "two")
    assert story.last.outputs.words == {"a": "one", "b": "two"}


def test_of_questions_side_by_side_one_is_open_and_the_state_names_who_waits():
    story = asked(side_by_side())
    assert [place[0] for place in story.active.line] == ["question-answer::ask", "question-answer::also"]
    assert [one.text.words for one in story.of("question.asked")] == ["left?"]
    answer(story, "one")
    assert [one.text.words for one in story.of("question.asked")] == ["left?", "right?"]
    assert [place[0] for place in story.active.line] == ["question-answer::also"]
    answer(story, "two")
    assert story.last.outputs.words == {"a": "one", "b": "two"}


def test_what_does_not_wait_for_the_answer_goes_on_and_is_shown():
    story = asked(side_by_side())
    assert story.text == "one moment"


def test_a_new_owner_does_not_ask_again():
    story = asked(side_by_side())
    before = list(story.events)
    story.taken_over()
    assert story.events == before
    answer(story, "one")
    answer(story, "two")
    assert story.last.type == "run.completed"


# In rounds


def in_rounds(**more):
    asks = question("ask", "{{i}}?", i=at("all-in.item"))
    parts = each("all", at("start.items"), line=at("ask.content"), **more)
    return flow(start(items="array"), *parts, asks, end(lines=at("all.line")), edges="start > all > end; all-in > ask > all-out")


@pytest.mark.parametrize("more", [{}, {"param": {"isParallel": True, "maxConcurrency": 3}}])
def test_a_question_in_an_iteration_is_put_for_each_round_one_after_the_other(more):
    story = Story(in_rounds(**more)).start(items=["a", "b", "c"])
    for number, said in enumerate(("x", "y", "z")):
        question_ = story.active.question
        assert (question_.text, question_.place, question_.number) == ("abc"[number] + "?", ("question-answer::ask", (number,)), number + 1)
        answer(story, said)
    assert story.last.outputs.words == {"lines": ["x", "y", "z"]}


@pytest.mark.parametrize("ends", ["expires", "is refused"])
def test_an_iteration_that_survives_failures_goes_on_after_a_question_that_failed(ends):
    story = Story(in_rounds(param={"errorStrategy": "continue"})).start(items=["a", "b"])
    if ends == "expires":
        story.wait(3 * MINUTE)
    else:
        answer(story, "", "abort")
    assert (story.active.question.text, story.active.question.number) == ("b?", 2)
    answer(story, "y")
    assert story.last.outputs.words == {"lines": ["", "y"]}


# Time


def test_a_question_that_nobody_answers_ends_the_run_with_23900():
    story = asked(direct()).wait(3 * MINUTE)
    assert [one.type for one in story.events[-3:]] == ["question.expired", "node.failed", "run.failed"]
    assert (story.events[-3].limit_ms, story.last.code) == (3 * MINUTE, 23900)


def test_nothing_happens_before_the_deadline():
    story = asked(direct())
    before = list(story.events)
    assert story.wait(3 * MINUTE - 1).events == before


def test_an_answer_that_comes_at_the_deadline_is_too_late():
    story = asked(direct())
    story.now += 3 * MINUTE
    (refused,) = answer(story, "x")
    assert refused.code == 23900


def test_the_next_question_has_its_own_time():
    story = asked(side_by_side())
    story.now += 2 * MINUTE
    answer(story, "one")
    assert story.active.question.deadline == story.now + 3 * MINUTE


def test_waiting_for_a_person_does_not_count_as_activity_of_the_run():
    document = flow(
        start(q="string"), question(timeout=60), llm("say", "{{c}}", c=at("ask.content")), end("{{o}}", o=at("say.output")),
        edges="start > ask > say > end",
    )  # fmt: skip
    limits = Limits(run_ms=10 * MINUTE, quiet_ms=30 * MINUTE)
    story = asked(document, limits).wait(59 * MINUTE)
    assert not story.over
    answer(story, "x")
    assert story.due == story.now + 10 * MINUTE
    story.wait(10 * MINUTE - 1)
    assert not story.over
    assert story.wait(1).last.type == "run.timed_out"


def test_a_question_beside_work_does_not_stop_the_clock():
    document = flow(
        start(q="string"),
        question(timeout=60),
        llm("say", "hello"),
        end(a=at("ask.content"), b=at("say.output")),
        edges="start > ask,say > end",
    )
    story = asked(document, Limits(run_ms=10 * MINUTE, quiet_ms=30 * MINUTE)).wait(5 * MINUTE)
    story.say("say", "hi").done("say").wait(50 * MINUTE)
    assert not story.over
    answer(story, "x")
    assert story.last.type == "run.completed"
    late = asked(document, Limits(run_ms=10 * MINUTE, quiet_ms=30 * MINUTE)).wait(10 * MINUTE)
    assert late.last.type == "run.timed_out"


def test_a_flow_may_ask_for_more_time_up_to_the_limit_of_the_house():
    story = asked(direct(timeout=60 * 24))
    assert story.last.deadline == story.now + 24 * 60 * MINUTE
    late = Story(direct(timeout=11), Limits(question_ms=10 * MINUTE)).start(q="x")
    assert (late.last.code, late.last.message) == (
        23801, "question-answer::ask: nodeParam.timeout is 11 minutes, here questions wait at most 10",
    )  # fmt: skip


def test_a_question_of_a_run_that_ends_otherwise_ends_with_it():
    story = asked(direct())
    story.cancel()
    assert story.over
    assert refusal(story) == 23900


# What is refused at save


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"param": {"answerType": "many"}}, "answerType"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 60 * 24 * 30 + 1}, "timeout"),
        ({"param": {"question": None}}, "question"),
        ({"param": {"directAnswer": {"handleResponse": False, "maxRetryCounts": 6}}}, "maxRetryCounts"),
        ({"param": {"directAnswer": {"handleResponse": True, "maxRetryCounts": 2}}}, "nodeParam.model"),
        ({"param": {"answerType": "option", "optionAnswer": []}}, "optionAnswer"),
        ({"options": [("t", "A", "x"), ("t", "B", "y")]}, "same id"),
        ({"options": [("t", "A", "x"), ("u", "A", "y")]}, "same name"),
    ],
)
def test_wrong_settings_are_refused_by_name(more, named):
    with pytest.raises(Problem, match=named):
        compile_(direct(**more))


def test_a_second_default_option_is_refused_with_22100():
    with pytest.raises(Problem) as problem:
        compile_(direct(param={"answerType": "option", "optionAnswer": [
            {"id": f"option-one-of::{one}", "name": one, "type": 1, "content": ""} for one in "ab"
        ]}))  # fmt: skip
    assert problem.value.code == 22100


def test_an_output_node_after_a_question_waits_for_it():
    document = flow(
        start(q="string"),
        joiner("j", "x"),
        question(),
        end("{{j}}{{c}}", j=at("j.output"), c=at("ask.content")),
        edges="start > j > ask > end",
    )
    story = asked(document)
    assert story.of("output.opened") == []
    assert isinstance(story.state, Active)
    assert told(document, q="Lin").active.question is not None
