"""`node-start` declares the parameters."""

from tests.support.flows import at, end, flow, start
from tests.support.spec import told


def test_parameters_are_its_outputs_and_others_may_read_below_them():
    schema = {"type": "object", "properties": {"k": {"type": "string"}}}
    run = told(flow(start(o=schema), end(v=at("start.o.k")), edges="start > end"), o={"k": "x"})
    assert run.outputs("start") == {"o": {"k": "x"}}
    assert run.text == '{"v":"x"}'


def test_a_key_below_that_the_schema_does_not_have_fails_who_reads_it_with_20600():
    schema = {"type": "object", "properties": {"k": {"type": "string"}}}
    run = told(flow(start(o=schema), end(v=at("start.o.none")), edges="start > end"), o={"k": "x"})
    assert (run.last.code, run.last.node) == (20600, "node-end::end")
