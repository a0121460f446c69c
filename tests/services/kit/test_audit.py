"""The providers of the content audit: words from a file, iFlytek's service, and what is wrong with their settings."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from services.kit.audit.iflytek import Iflytek, body_of, signed
from services.kit.audit.port import NoOpinion, Passage
from services.kit.audit.provider import judge_of
from services.kit.audit.words import Words
from services.kit.clock import SystemClock
from services.kit.errors import Refused
from services.kit.settings import load
from tests.support.audit_server import SECRET, AuditServer

LISTS = """
[insults]
words = ["Blockhead", "傻瓜"]
patterns = ['\\bidi+ot\\b']

[shop]
words = ["refund"]
apps = ["shop"]
of = ["output"]
"""


def passage(text: str, of: Any = "output", app: str = "demo", **more: Any) -> Passage:
    return Passage(app=app, run="1", of=of, stage="content", text=text, **more)


def lists(folder: Path, text: str) -> Path:
    file = folder / "lists.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "of", "app", "categories"),
    [
        ("all is well", "output", "demo", ()),
        ("you BLOCKHEAD", "input", "demo", ("insults",)),
        ("ｂｌｏｃｋｈｅａｄ", "input", "demo", ("insults",)),
        ("你是傻瓜吗", "output", "demo", ("insults",)),
        ("what an idiiiot", "answer", "demo", ("insults",)),
        ("idiotic", "output", "demo", ()),
        ("a refund", "output", "demo", ()),
        ("a refund", "output", "shop", ("shop",)),
        ("a refund", "input", "shop", ()),
        ("a refund, blockhead", "output", "shop", ("insults", "shop")),
    ],
)
async def test_words_and_patterns_count_by_category_app_and_place(
    tmp_path: Path, text: str, of: str, app: str, categories: tuple[str, ...]
):
    opinion = await Words(lists(tmp_path, LISTS)).judge(passage(text, of, app))
    assert (opinion.passed, opinion.categories) == (not categories, categories)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\nwords = 'x'", r"is not right at a\.words"),
        ("[a]\nword = ['x']", r"is not right at a\.word: extra"),
        ("[a]\npatterns = ['(?=x)']", r"a\.patterns, number 1: no regular expression of the RE2 syntax"),
        ("[a", "is no TOML file"),
        ("", "has no words and no patterns"),
        ("[a]\nwords = ['']", r"is not right at a\.words\.0"),
        ("[a]\nof = ['inputs']\nwords = ['x']", r"is not right at a\.of\.0"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, text: str, said: str):
    with pytest.raises(Refused, match=said):
        Words(lists(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(Refused, match="cannot be read: no such file"):
        judge_of(load(audit="words", audit_file=tmp_path / "none.toml"), SystemClock())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"audit": "words"}, "PROZESS_AUDIT is words: name the file"),
        ({"audit": "iflytek"}, "IFLYTEK_AUDIT_APP_ID, IFLYTEK_AUDIT_ACCESS_KEY_ID, IFLYTEK_AUDIT_ACCESS_KEY_SECRET"),
    ],
)
def test_settings_that_are_missing_are_named(given: dict[str, Any], said: str):
    with pytest.raises(Refused, match=said):
        judge_of(load(**given), SystemClock())


def test_without_a_setting_nobody_judges():
    assert judge_of(load(), SystemClock()) is None


def test_a_signature_covers_the_sorted_and_encoded_parameters():
    query = signed({"utc": "2025-09-28T08:00:00+0000", "appId": "a b", "accessKeyId": "k", "uuid": "1", "uid": ""}, "secret")
    assert "uid" not in query
    assert query["signature"] == "wSLDrn19KKi9MfVp+FvzDCVTE3Q="


def test_history_goes_along_with_what_people_say():
    path, body = body_of(passage("hi", "answer", history=(("user", "before"),)))
    assert path == "/audit/v3/aichat/input"
    assert body["context_list"] == [{"role": "user", "content": "before", "resource_list": []}]


async def test_a_call_names_its_piece_and_the_answer_its_action():
    server = AuditServer()
    await server.start()
    judge = Iflytek(load(**server.environment), SystemClock())
    try:
        assert (await judge.judge(passage("good", piece=3, ends_stage=True))).passed
        refused = await judge.judge(passage("bad"))
        assert (refused.passed, refused.action, refused.categories, refused.reference) == (False, "discontinue", ("test",), "aud-2")
        body = server.calls[0].body
        assert (body["stage"], body["pindex"], body["is_pending"], body["is_stage_end"], body["is_end"]) == ("answer", 3, 0, 1, 0)
        assert server.calls[0].query["chatAppId"] == "demo"
    finally:
        await judge.aclose()
        await server.stop()


async def test_a_call_that_fails_is_made_again_newly_signed_and_says_no_secret(caplog: pytest.LogCaptureFixture):
    server = AuditServer(script=[500, "10003"])
    await server.start()
    judge = Iflytek(load(**server.environment), SystemClock())
    try:
        with pytest.raises(NoOpinion, match="the audit service answered with its code 10003") as failure:
            await judge.judge(passage("people's words"))
        first, second = server.calls
        assert first.query["uuid"] != second.query["uuid"]
        told = caplog.text + str(failure.value)
        assert SECRET not in told
        assert "people's words" not in told
    finally:
        await judge.aclose()
        await server.stop()


async def test_the_second_try_goes_to_the_second_host():
    server = AuditServer()
    await server.start()
    hosts = ("http://127.0.0.1:1/v1.0", f"http://127.0.0.1:{server.port}/v1.0")
    judge = Iflytek(load(**{**server.environment, "IFLYTEK_AUDIT_HOST": hosts}), SystemClock())
    try:
        opinion = await judge.judge(passage("good"))
        assert (opinion.passed, opinion.tries) == (True, 2)
    finally:
        await judge.aclose()
        await server.stop()


async def test_the_lists_of_the_page_are_as_they_must_be(tmp_path: Path):
    page = (resources.files("services.api") / "docs" / "audit.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert not (await Words(lists(tmp_path, sample)).judge(passage("a blockhead", app="shop"))).passed
