"""Lines are JSON where nobody watches, carry bound ids, and hold no credentials."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.kit.settings import Settings
from services.kit.telling import logs
from services.kit.telling.traces import RUN, TRACE


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("tests", "info", stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def words() -> Iterator[io.StringIO]:
    """Lines for people, as on a terminal."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("tests", Settings(log_format="text"), stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_program_level_and_time(out: io.StringIO):
    logs.logger("somewhere").info("took a partition", partition=3)

    (line,) = lines(out)
    assert {key: line[key] for key in ("event", "partition", "level", "program")} == {
        "event": "took a partition",
        "partition": 3,
        "level": "info",
        "program": "tests",
    }
    assert str(line["time"]).endswith("Z")


def test_bound_ids_are_on_every_line_of_the_block_and_on_none_after_it(out: io.StringIO):
    with logs.about(run="7", event_id="e1"):
        logs.logger("somewhere").info("inside")
    logs.logger("somewhere").info("outside")

    inside, outside = lines(out)
    assert (inside["run"], inside["event_id"], inside["event"]) == ("7", "e1", "inside")
    assert not {"run", "event_id"} & outside.keys()


def test_credentials_are_hidden_at_any_depth(out: io.StringIO):
    logs.logger("somewhere").info("calling", api_key="hush", headers={"Authorization": "hush", "inner": [{"password": "hush"}]}, tokens=12)

    assert "hush" not in out.getvalue()
    assert lines(out)[0]["tokens"] == 12


def test_lines_of_libraries_have_the_same_form(out: io.StringIO):
    logging.getLogger("faust").warning("lost %s", "a broker")
    logging.getLogger("faust").info("chatter")
    logging.getLogger("aiokafka").error("what our adapter says better")

    (line,) = lines(out)
    assert (line["event"], line["level"], line["program"]) == ("lost a broker", "warning", "tests")


def test_what_is_below_the_level_is_not_written(out: io.StringIO):
    logs.logger("somewhere").debug("detail")

    assert out.getvalue() == ""


@pytest.mark.parametrize("breaks", ["a\nb", "a\r\nb", "a\u2028b", "a\x1b[31mb", "a\x00b"])
def test_a_record_is_one_line_whatever_somebody_wrote(out: io.StringIO, breaks: str):
    logs.logger("somewhere").warning("said", by=breaks, also={"inner": breaks})
    logging.getLogger("library").warning(breaks)

    assert len(out.getvalue().split("\n")) == 3
    first, second = lines(out)
    assert (first["by"], second["event"]) == (breaks, breaks)


@pytest.mark.parametrize("breaks", ["a\nb", "a\r\nb", "a\u2028b", "a\x1b[31mb", "a\x00b"])
def test_a_record_in_words_is_one_line_without_signs_that_a_terminal_obeys(words: io.StringIO, breaks: str):
    logs.logger("somewhere").warning("said", by=breaks)
    logging.getLogger("library").warning(breaks)

    assert len(words.getvalue().splitlines()) == 2
    assert not {"\x1b", "\x00", "\r"} & set(words.getvalue())


def test_the_run_and_the_trace_of_what_is_done_are_on_its_lines(out: io.StringIO):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    run, joined = RUN.set("7"), TRACE.set(f"00-{trace}-00f067aa0ba902b7-01")
    logs.logger("somewhere").info("inside")
    logging.getLogger("library").warning("inside too")
    RUN.reset(run)
    TRACE.reset(joined)
    logs.logger("somewhere").info("outside")

    first, second, third = lines(out)
    assert {(one["run"], one["trace_id"]) for one in (first, second)} == {("7", trace)}
    assert not {"run", "trace_id"} & third.keys()
