"""Programs end with a sentence and an exit code."""

import asyncio
import os
import signal
import sys

import pytest
import structlog

from services.kit.errors import LogInUse, Refused
from services.kit.program import frame as program
from services.kit.program.exits import ProgramError, guarded
from services.kit.program.frame import Parts, stoppable, together


async def until(stop: asyncio.Event) -> None:
    await stop.wait()


async def test_parts_run_until_they_are_stopped():
    stop, ended = asyncio.Event(), list[str]()

    async def part(stop: asyncio.Event) -> None:
        await stop.wait()
        ended.append("one")

    asyncio.get_running_loop().call_soon(stop.set)
    await together({"one": part, "other": until}, stop)

    assert ended == ["one"]


async def test_when_one_breaks_the_others_drain_and_the_reason_names_it():
    stop, drained = asyncio.Event(), asyncio.Event()

    async def broken(_stop: asyncio.Event) -> None:
        raise ZeroDivisionError("by zero")

    async def other(stop: asyncio.Event) -> None:
        await stop.wait()
        drained.set()

    with pytest.raises(ProgramError, match=r"^the projector stopped: ZeroDivisionError: by zero\.$"):
        await together({"projector": broken, "api": other}, stop)

    assert drained.is_set()


async def test_a_part_that_just_ends_is_not_taken_for_success():
    async def ended(_stop: asyncio.Event) -> None:
        return

    with pytest.raises(ProgramError, match="the processor ended although nobody asked it to"):
        await together({"processor": ended, "api": until}, asyncio.Event())


async def test_a_refusal_stays_a_refusal():
    async def refused(_stop: asyncio.Event) -> None:
        raise LogInUse("the log is in use")

    with pytest.raises(LogInUse):
        await together({"processor": refused, "api": until}, asyncio.Event())


async def test_what_does_not_drain_in_time_is_dropped_and_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(program, "DRAIN_S", 0.01)
    stop = asyncio.Event()
    stop.set()
    parts: Parts = {"api": lambda _stop: asyncio.Event().wait()}

    with pytest.raises(ProgramError, match="did not end within"):
        await together(parts, stop)


async def test_the_first_signal_sets_the_event():
    async with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await stop.wait()


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (Refused("the port is in use"), 2, "prozess: the port is in use.\n"),
        (ProgramError("the api stopped: it broke."), 1, "prozess: the api stopped: it broke.\n"),
        (ValueError("line 1\n  line 2"), 1, "prozess: ValueError: line 1 line 2.\n"),
        (ExceptionGroup("many", [ExceptionGroup("inner", [KeyError("x")])]), 1, "prozess: KeyError: 'x'.\n"),
    ],
)
def test_what_is_raised_becomes_one_sentence_and_an_exit_code(capsys: pytest.CaptureFixture[str], wrong: Exception, code: int, said: str):
    async def work() -> None:
        raise wrong

    assert guarded(work) == code
    assert capsys.readouterr().err == said


def test_work_that_ends_well_exits_0():
    async def work() -> None:
        return

    assert guarded(work) == 0


def test_a_mistake_of_ours_leaves_a_line_that_says_where_it_was_made():
    async def work() -> None:
        try:
            raise KeyError("secret")
        finally:
            assert not sys.modules

    with structlog.testing.capture_logs() as lines:
        assert guarded(work) == 1
    (line,) = [one for one in lines if one["log_level"] == "error"]
    assert (line["event"], line["error"]) == ("broke", "AssertionError")
    assert line["place"].startswith("test_program.py:")
    assert line["after"].startswith("KeyError at test_program.py:")
    assert "secret" not in str(line)


def test_what_a_program_says_itself_needs_no_place():
    async def work() -> None:
        raise ProgramError("the projector stops")

    with structlog.testing.capture_logs() as lines:
        assert guarded(work) == 1
    assert [one for one in lines if one["log_level"] == "error"] == []
