"""`message`: shows its template; it has no outputs."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from tests.support.flows import at, changed, end, flow, message, start
from tests.support.spec import told


def saying(part, **params):
    return told(flow(start(q="string"), part, end(""), edges="start > m > end"), **params)


def test_units_are_shown_one_by_one_and_the_last_one_closes():
    run = saying(message("m", "msg={{q}};", q=at("start.q")), q="x")
    assert run.shown()[:3] == [("m", "content", "msg="), ("m", "content", "x"), ("m", "content", ";")]
    assert run.of("output.closed", "m")[0].text.words == ";"


def test_without_streaming_it_closes_with_its_whole_text():
    run = saying(message("m", "M {{q}}!", streamed=False, q=at("start.q")), q="x")
    assert not run.of("output.released", "m")
    assert run.screen("m").content == "M x!"


def test_an_unknown_placeholder_is_left():
    assert saying(message("m", "m {{nope}};")).screen("m").content == "m {{nope}};"


def test_it_has_no_outputs_but_error_variables_can_be_read():
    document = flow(start(), message("m", "x"), end("{{c}}", c=at("m.errorCode")), edges="start > m > end")
    run = told(document)
    assert run.outputs("m") == {}
    assert run.text == "x0"


def test_a_template_is_needed():
    with pytest.raises(Problem) as problem:
        compile_(flow(start(), changed(message("m", ""), param={}), end(), edges="start > m > end"))
    assert problem.value.message.startswith("message::m: nodeParam.template")
