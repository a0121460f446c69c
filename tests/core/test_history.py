"""What of an earlier conversation a node is given: the caller's turns or the chat's own, by rounds, as far as they fit (7)."""

import pytest

from events.commands import StartRun
from events.envelope import Protected
from events.run import Turn
from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.chats import MAX_ROUNDS, Chats, Exchange
from services.core.running.effects import KnowledgeRequest, ModelRequest
from services.core.running.history import Budget, chosen
from services.core.running.run import rounds_wanted
from services.core.running.run_state import Ended, exchanges
from services.core.running.turn import Limits
from tests.core.nodes.test_question_answer import answer, question
from tests.support.flows import Part, at, end, flow, joiner, llm, message, start
from tests.support.spec import Story, wish_to_start

CHAT = ("demo", "c-1")


def said(*texts: str) -> tuple[Turn, ...]:
    """User and assistant in turn."""
    return tuple(Turn(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(texts))


def rounds(count: int) -> tuple[Turn, ...]:
    return said(*(text for number in range(1, count + 1) for text in (f"q{number}", f"a{number}")))


def texts(turns) -> list[str]:
    return [turn.content for turn in turns]


# Which turns


@pytest.mark.parametrize(("wanted", "first"), [(1, 3), (2, 2), (3, 1), (9, 1), (0, 4)])
def test_the_last_rounds_are_given(wanted, first):
    assert texts(chosen(rounds(3), wanted, None)) == [text for number in range(first, 4) for text in (f"q{number}", f"a{number}")]


def test_pictures_are_left_out_and_take_no_round():
    picture = Turn(role="user", content="http://files/cat.png", content_type="image")
    assert texts(chosen((picture, *rounds(1)), 1, None)) == ["q1", "a1"]
    assert texts(chosen((*rounds(1), picture), 1, None)) == ["q1", "a1"]


def test_what_was_said_before_any_question_belongs_to_no_round():
    greeting = Turn(role="assistant", content="hello")
    assert texts(chosen((greeting, *rounds(2)), 9, None)) == ["q1", "a1", "q2", "a2"]


def test_several_messages_in_a_row_are_one_round():
    turns = (*said("q1", "a1"), Turn(role="assistant", content="and more"), *said("q2", "a2"), Turn(role="user", content="q3"))
    assert texts(chosen(turns, 2, None)) == ["q2", "a2", "q3"]
    assert texts(chosen(turns, 3, None)) == ["q1", "a1", "and more", "q2", "a2", "q3"]


def test_the_oldest_rounds_are_dropped_until_the_rest_fits():
    long = said(*(letter * 300 for letter in "aabbcc"))
    assert texts(chosen(long, 3, Budget("m", 1_200))) == ["c" * 300] * 2
    assert texts(chosen(long, 3, Budget("m", 100_000))) == texts(long)
    assert chosen(long, 3, Budget("m", 500)) == ()


def test_the_nodes_own_texts_take_their_share_of_the_room():
    short = said("q" * 50, "a" * 50)
    assert len(chosen(short, 1, Budget("m", 400))) == 2
    assert chosen(short, 1, Budget("m", 400, ("x" * 100,))) == ()


def test_a_known_tokenizer_counts_instead_of_the_estimate():
    long = said(*(letter * 300 for letter in "aabbcc"))
    assert len(chosen(long, 3, Budget("m", 600), lambda _model, text: len(text) // 4)) == 6
    assert len(chosen(long, 3, Budget("m", 600), lambda model, _text: 10_000 if model == "m" else 0)) == 0


# What a run is given


def asking(rounds_: int | None = 2, **param):
    switch = {} if rounds_ is None else {"enableChatHistoryV2": {"isEnabled": True, "rounds": rounds_}}
    part = llm("ask", "{{q}}", param={**switch, **param}, q=at("start.q"))
    return flow(start(q="string"), part, end("{{o}}", o=at("ask.output")), edges="start > ask > end")


def wish(history: tuple[Turn, ...] = (), chat: str = "c-1") -> StartRun:
    earlier = Protected[tuple[Turn, ...]](subject="demo/u", words=history)
    return wish_to_start(q="now").model_copy(update={"history": earlier, "chat": chat})


def begun(document, history: tuple[Turn, ...] = (), remembered: tuple[Turn, ...] = (), limits: Limits | None = None) -> Story:
    story = Story(document, limits)
    story.remembered = remembered
    story.take(wish(history))
    return story


def prompt(story: Story) -> list[tuple[str, str]]:
    request = story.asked("ask")
    assert isinstance(request, ModelRequest)
    return [(one.role, one.content) for one in request.messages]


def test_the_order_is_system_history_user():
    story = begun(asking(1, systemTemplate="SYS"), rounds(3))
    assert prompt(story) == [("system", "SYS"), ("user", "q3"), ("assistant", "a3"), ("user", "now")]


def test_what_was_given_is_on_the_record_and_shown_with_the_inputs():
    (began,) = begun(asking(1), rounds(2)).of("node.started", "ask")
    assert texts(began.history.words) == ["q2", "a2"]
    assert began.inputs.words["q"] == "now"
    assert "chatHistory" not in began.inputs.words
    assert began.shown_inputs["chatHistory"] == [
        {"role": "user", "content": "q2", "content_type": "text"}, {"role": "assistant", "content": "a2", "content_type": "text"},
    ]  # fmt: skip


@pytest.mark.parametrize("rounds_", [None, 1])
def test_without_the_switch_or_without_turns_nothing_is_given(rounds_):
    story = begun(asking(rounds_), () if rounds_ else rounds(2))
    assert prompt(story) == [("user", "now")]
    (began,) = story.of("node.started", "ask")
    assert (began.history, "chatHistory" in began.shown_inputs) == (None, False)


def test_the_callers_history_wins_over_what_is_remembered():
    assert texts(begun(asking(), rounds(1), said("old", "older")).of("node.started", "ask")[0].history.words) == ["q1", "a1"]
    story = begun(asking(), (), said("old", "older"))
    assert prompt(story)[:2] == [("user", "old"), ("assistant", "older")]
    assert texts(story.of("run.started")[0].remembered.words) == ["old", "older"]


def test_a_new_owner_asks_with_the_same_history():
    story = begun(asking(), rounds(2))
    before = prompt(story)
    story.taken_over()
    assert prompt(story) == before


def test_the_tokens_of_the_house_are_counted():
    long = said("q" * 500, "a" * 500)
    assert len(prompt(begun(asking(1, maxTokens=600), long))) == 1
    assert len(prompt(begun(asking(1, maxTokens=600), long, limits=Limits(tokens=lambda _model, text: len(text) // 4)))) == 3


@pytest.mark.parametrize("switch", [{"isEnabled": True, "rounds": 0}, {"isEnabled": "perhaps", "rounds": 1}])
def test_a_wrong_switch_is_refused_by_name(switch):
    with pytest.raises(Problem, match="enableChatHistoryV2"):
        compile_(asking(None, enableChatHistoryV2=switch))


@pytest.mark.parametrize(
    ("document", "history", "chat", "wanted"),
    [(asking(3), (), "c", 3), (asking(3), rounds(1), "c", 0), (asking(3), (), "", 0), (asking(None), (), "c", 0)],
)
def test_only_runs_in_a_chat_whose_caller_sends_nothing_need_what_is_remembered(document, history, chat, wanted):
    assert rounds_wanted(compile_(document), wish(history, chat)) == wanted


# What a chat remembers


def test_a_run_leaves_the_question_and_what_was_shown():
    document = flow(
        start(q="string"), message("hi", "Hello. "), llm("ask", "{{q}}", q=at("start.q")), end("<{{o}}>", o=at("ask.output")),
        edges="start > hi > ask > end",
    )  # fmt: skip
    story = begun(document).say("ask", "one ", "two")
    assert exchanges(story.active) == (Exchange("1", "now", "Hello. <one two"),)
    assert story.text == "Hello. <one two"
    assert story.done("ask").state == Ended("demo", "c-1", (Exchange("1", "now", "Hello. <one two>"),))


def test_what_waits_for_the_floor_counts_once_it_is_shown():
    document = flow(
        start(q="string"), llm("a", "a"), llm("b", "b"),
        message("ma", "{{x}};", x=at("a.output")), message("mb", "{{y}};", y=at("b.output")),
        end("", z=at("b.output")), edges="start > a,b; a > ma > end; b > mb > end",
    )  # fmt: skip
    story = begun(document).say("b", "second").say("a", "first").done("a")
    assert story.text == "first;second"
    assert exchanges(story.active)[-1].answered == "first;second"


def test_a_question_and_its_answer_are_a_round_of_their_own():
    document = flow(
        start(q="string"), message("hi", "Hello. "), question("ask", "Your name?"), joiner("j", "Hi {{c}}", c=at("ask.content")),
        message("bye", "{{j}}", j=at("j.output")), llm("wait", "x"), end("", o=at("wait.output")),
        edges="start > hi > ask > j > bye > wait > end",
    )  # fmt: skip
    story = begun(document)
    answer(story, "Bo")
    assert exchanges(story.active) == (Exchange("1", "now", "Hello. Your name?"), Exchange("1", "Bo", "Hi Bo"))


def test_a_run_that_fails_leaves_nothing_to_its_chat():
    story = begun(asking()).say("ask", "one").fails("ask")
    assert story.state == Ended("demo")


def test_a_run_without_a_chat_remembers_nothing():
    story = Story(asking()).start(q="x").say("ask", "hello")
    assert exchanges(story.active) == ()


def filled(*pairs: tuple[str, str]) -> Chats:
    chats = Chats()
    for number, (asked, answered) in enumerate(pairs):
        chats.add(CHAT, [Exchange(str(number), asked, answered)])
    return chats


def test_the_last_rounds_of_a_chat_are_given_as_turns():
    chats = filled(("q1", "a1"), ("q2", "a2"))
    assert texts(chats.turns(CHAT, 1)) == ["q2", "a2"]
    assert chats.turns(CHAT, 9) == said("q1", "a1", "q2", "a2")
    assert chats.turns(CHAT, 0) == chats.turns(("demo", "c-2"), 1) == chats.turns(("other", "c-1"), 1) == ()


def test_rounds_without_words_on_one_side_are_no_rounds():
    assert filled(("q1", ""), ("", "a2")).said == {}


def test_a_chat_keeps_so_many_rounds():
    chats = filled(*((f"q{number}", "a") for number in range(MAX_ROUNDS + 5)))
    assert [one.asked for one in chats.said[CHAT]] == [f"q{number}" for number in range(5, MAX_ROUNDS + 5)]


def test_chats_that_are_quiet_for_long_are_forgotten_with_a_snapshot_and_recalled(monkeypatch):
    monkeypatch.setattr("services.core.running.chats.MAX_WEIGHT", 2500)
    chats, other = filled(("q1", "a1")), ("demo", "c-2")
    chats.add(("demo", "c-3"), [Exchange("8", "qq", "aa")])
    chats.mark()
    chats.settle(40)
    assert (len(chats.said), chats.begun, chats.lacks(CHAT, 2)) == (2, 0, False)
    chats.add(other, [Exchange("9", "qqq", "aaaa")])
    chats.settle(50)
    assert (list(chats.said), chats.weight, chats.begun) == ([other], 1007, 50)
    assert (chats.lacks(CHAT, 1), chats.lacks(other, 1), chats.lacks(other, 2)) == (True, False, True)
    chats.recall(other, [Exchange("8", "q", "a"), Exchange("9", "qqq", "aaaa")])
    assert [one.run for one in chats.said[other]] == ["8", "9"]
    assert not chats.lacks(other, 2)


def test_who_spoke_since_the_snapshot_was_begun_is_not_forgotten_with_it(monkeypatch):
    monkeypatch.setattr("services.core.running.chats.MAX_WEIGHT", 10)
    chats, other = filled(("q1", "a1")), ("demo", "c-2")
    chats.mark()
    chats.recall(other, [])
    chats.settle(50)
    assert list(chats.said) == [other]
    chats.mark()
    chats.settle(60)
    assert (chats.said, chats.recalled, chats.weight, chats.begun) == ({}, set(), 0, 60)


@pytest.mark.parametrize(("switch", "given"), [({"isEnabled": True, "rounds": 1}, ["q2", "a2"]), ({"isEnabled": False}, []), ({}, [])])
def test_a_knowledge_base_is_told_as_many_rounds_as_it_wants(switch, given):
    part = Part("look", "knowledge-base", {"q": at("start.q")}, {"out": "string"}, {"repoId": ["r"], "enableChatHistoryV2": switch})
    story = begun(flow(start(q="string"), part, end(), edges="start > look > end"), rounds(2))
    asked = story.asked("look")
    assert isinstance(asked, KnowledgeRequest)
    assert [one.content for one in asked.history] == given
    story.taken_over()
    assert story.asked("look") == asked
