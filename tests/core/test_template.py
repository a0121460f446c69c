"""Placeholders, paths, and what stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.language import template as module
from services.core.language.template import Constant, Placeholder, parse, render
from services.core.problems import Problem

VALUES = {"v": "text", "o": {"k": "v", "deep": {"x": 1}}, "a": ["p", ["q"]], "rows": [{"name": "ann"}, {"name": "bob"}], "e": "", "b": True}


def rendered(text: str) -> str:
    return render(parse(text, VALUES.keys()), VALUES.__getitem__)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("hey", "hey"), ("", ""), ("<{{v}}>", "<text>"), ("{{v}}{{v}}", "texttext"), ("{{o.k}} {{o.deep.x}}", "v 1"), ("{{a[0]}}", "p"),
        ("{{a[1][0]}}", "q"), ("{{a[-1]}}", '["q"]'), ("{{rows[1].name}}", "bob"), ("{{b}}", "true"), ("[{{e}}]", "[]"),
        ("{{o}}", '{"k": "v", "deep": {"x": 1}}'),
    ],
)  # fmt: skip
def test_placeholders_are_replaced_by_what_their_path_finds(template, text):
    assert rendered(template) == text


@pytest.mark.parametrize("template", ["{{nope}}", "{{ v }}", "{v}", "{{v", "{ {v} }", "{{v.}}", "{{v[x]}}", "{{}}", "{{名}}", "{{nope.k}}"])
def test_what_is_no_placeholder_of_an_input_stays(template):
    assert rendered(f"a {template} b") == f"a {template} b"


@pytest.mark.parametrize("path", ["v.k", "o.none", "v[0]", "o.k.z", "rows.name", "a.k"])
def test_what_cannot_be_traversed_prints_the_path(path):
    assert rendered(f"<{{{{{path}}}}}>") == f"<{path}>"


@pytest.mark.parametrize("path", ["a[2]", "a[-3]", "rows[9].name"])
def test_an_index_out_of_range_is_20602(path):
    with pytest.raises(Problem) as problem:
        rendered(f"{{{{{path}}}}}")
    assert problem.value.code == 20602
    assert path in problem.value.message


def test_units_alternate_and_end_with_a_constant():
    assert parse("a{{v}}{{o.k}}", {"v", "o"}) == (Constant("a"), Placeholder("v", (), "v"), Placeholder("o", ("k",), "o.k"), Constant(""))
    assert parse("{{v}}z", {"v"}) == (Placeholder("v", (), "v"), Constant("z"))
    assert parse("", ()) == (Constant(""),)


def test_a_text_that_would_be_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_TEXT", 10)
    assert rendered("{{v}}{{v}}") == "texttext"[:10]
    with pytest.raises(Problem) as problem:
        rendered("{{v}}{{v}}{{v}}")
    assert problem.value.code == 22302


@given(st.text(alphabet="ab{}[].0 v"))
def test_without_inputs_every_text_is_itself(text):
    assert render(parse(text, ()), VALUES.__getitem__) == text


@given(st.text(alphabet="v{}[].01", max_size=30))
def test_units_hold_the_whole_template(text):
    written = [one.text if isinstance(one, Constant) else f"{{{{{one.written}}}}}" for one in parse(text, {"v"})]
    assert "".join(written) == text
