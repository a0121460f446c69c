"""What a flow must be to be run: every refusal names the node and the place."""

import pytest

from services.core.language.graph import MAX_EDGES, MAX_NODES, compile_
from services.core.problems import Problem
from tests.support.flows import Part, at, changed, end, flow, joiner, llm, message, retry, start
from tests.support.spec import told


def refused(document) -> tuple[int, str]:
    with pytest.raises(Problem) as problem:
        compile_(document)
    return problem.value.code, problem.value.message


def small(*more: Part, edges: str = "start > end"):
    return flow(start(q="string"), *more, end(), edges=edges)


def test_the_smallest_flow_is_compiled():
    graph = compile_(small())
    assert list(graph.nodes) == ["node-start::start", "node-end::end"]


@pytest.mark.parametrize("document", [None, 5, [], {}, {"data": {}}, {"data": {"nodes": []}}, {"data": {"nodes": [{}], "edges": []}}])
def test_what_is_no_document_is_refused_with_20100_and_its_place(document):
    code, message_ = refused(document)
    assert code == 20100
    assert ": " in message_


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "no-colons"), ("data.nodeMeta", None), ("data.inputs", [{"name": "", "schema": {}}]),
        ("data.inputs", [{"name": "a", "schema": {"type": "date", "value": {"type": "literal", "content": 1}}}]),
        ("data.inputs", [{"name": "a", "schema": {"type": "string", "value": {"type": "other"}}}]),
        ("data.outputs", [{"name": "a"}]), ("data.retryConfig", {"timeout": 0}), ("data.retryConfig", {"errorStrategy": 3}),
        ("data.retryConfig", {"maxRetries": -1}),
    ],
)  # fmt: skip
def test_wrong_shapes_name_their_place(path, value):
    document = small(joiner("it", "x"), edges="start > it > end")
    *way, last = path.split(".")
    node = document["data"]["nodes"][1]
    for step in way:
        node = node[step]
    node[last] = value
    code, message_ = refused(document)
    assert code == 20100
    assert message_.startswith(f"data.nodes.1.{path}")


def test_node_parameters_are_checked_with_the_node_s_id():
    code, message_ = refused(small(changed(joiner("it"), param={"mode": 7}), edges="start > it > end"))
    assert code == 20100
    assert message_.startswith("text-joiner::it: nodeParam.mode: ")


def test_a_flow_without_nodes_is_refused():
    assert refused({"data": {"nodes": [], "edges": []}})[0] == 22100


def test_an_unknown_kind_is_refused():
    assert refused(small(Part("x", "teapot"))) == (22101, "teapot::x: the node kind teapot is not known")


def test_a_node_id_used_twice_is_refused():
    assert refused(small(joiner("it"), joiner("it"))) == (22300, "text-joiner::it: this node id is used twice")


@pytest.mark.parametrize("edges", ["start > end; start > nobody", "start > end; nobody > end"])
def test_an_edge_to_or_from_nowhere_is_refused(edges):
    code, message_ = refused(small(edges=edges))
    assert code == 22300
    assert "Node not found: nobody" in message_


def test_exactly_one_start_is_needed():
    assert refused(flow(end(), edges=""))[1].endswith("there are 0")
    assert refused(flow(start(), Part("other", "node-start"), end(), edges="start > end"))[1].endswith("there are 2")


def test_an_end_must_be_reachable():
    assert refused(flow(start(), joiner("a"), edges="start > a")) == (
        22100,
        "data.nodes: no node-end can be reached from the start node",
    )


@pytest.mark.parametrize("lonely", [message("alone", "x"), end("x", name="alone")])
def test_an_output_node_that_cannot_be_reached_is_refused(lonely):
    assert refused(small(lonely)) == (22101, f"{lonely.id}: this node cannot be reached from the start node")


def test_a_cycle_is_refused_with_exactly_its_nodes():
    document = small(*map(joiner, "abcd"), edges="start > a > b > c > b; c > d > end")
    assert refused(document) == (
        22300,
        "data.edges: the graph has a cycle: text-joiner::b → text-joiner::c → text-joiner::b",
    )


def test_a_node_that_follows_itself_is_a_cycle():
    assert refused(small(joiner("a"), edges="start > a > a; a > end"))[1].endswith("text-joiner::a → text-joiner::a")


def test_a_long_cycle_is_told_in_short():
    names = [f"n{one:02}" for one in range(30)]
    document = small(*map(joiner, names), edges=f"start > {' > '.join(names)} > n00; n29 > end")
    assert "n09 → 20 more → text-joiner::n00" in refused(document)[1]


def test_nothing_may_lead_to_the_start():
    assert refused(small(joiner("a"), edges="start > a > end; a > start"))[1].startswith("edge text-joiner::a → node-start::start")


@pytest.mark.parametrize("reference", ["nobody.output", "ask.nothing", ".output", "ask.", ""])
def test_a_reference_to_nothing_is_refused(reference):
    code, message_ = refused(small(llm("ask"), joiner("it", "{{x}}", x=at(reference)), edges="start > ask > it > end"))
    assert code == 22101
    assert message_.startswith("text-joiner::it: input x")


@pytest.mark.parametrize("reference", ["away.output", "away.errorCode", "away.errorMessage"])
def test_a_reference_to_a_node_that_never_runs_is_a_default(reference):
    away = joiner("away", "x", outputs={"output": {"type": "string", "default": "d"}})
    run = told(flow(start(), away, end("<{{x}}>", x=at(reference)), edges="start > end"))
    assert run.text == {"away.output": "<d>", "away.errorCode": "<0>", "away.errorMessage": "<>"}[reference]
    assert "text-joiner::away" not in run.graph.nodes


def test_error_variables_may_be_referred_to():
    compile_(small(llm("ask"), joiner("it", "{{x}}", x=at("ask.errorCode")), edges="start > ask > it > end"))


@pytest.mark.parametrize(
    ("preset", "outputs"),
    [
        ({"y": "p"}, {"x": "string"}), ({"x": 5}, {"x": "string"}), ({"x": True}, {"x": "integer"}), ({"x": "a", "z": 1}, {"x": "string"}),
        ({"x": [1]}, {"x": {"type": "array", "items": {"type": "string"}}}), ({"x": "a"}, {"x": "string", "y": "string"}),
    ],
)  # fmt: skip
def test_preset_outputs_that_do_not_fit_are_refused(preset, outputs):
    document = small(llm("ask", outputs=outputs, retry=retry(1, preset=preset)), edges="start > ask > end")
    code, message_ = refused(document)
    assert code == 22101
    assert message_.startswith("spark-llm::ask: Node set output content: retryConfig.customOutput.")


def test_preset_outputs_may_leave_out_what_has_a_default():
    outputs = {"x": "string", "y": {"type": "integer", "default": 3}}
    compile_(small(llm("ask", outputs=outputs, retry=retry(1, preset={"x": "p"})), edges="start > ask > end"))


@pytest.mark.parametrize("schema", [{"type": "teapot"}, {"type": "string", "pattern": "("}, {"type": "string", "minLength": "x"}])
def test_an_output_that_is_no_json_schema_is_refused(schema):
    code, message_ = refused(flow(start(q=schema), end(), edges="start > end"))
    assert code == 22101
    assert message_.startswith("node-start::start: output q is no JSON Schema")


def test_a_schema_that_refers_elsewhere_is_refused_and_nothing_is_fetched():
    code, message_ = refused(flow(start(q={"type": "array", "items": {"$ref": "http://127.0.0.1:1/x"}}), end(), edges="start > end"))
    assert (code, "$ref" in message_) == (22101, True)


def test_a_schema_that_is_nested_too_deep_is_refused():
    schema = {"type": "string"}
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}}
    assert refused(flow(start(q=schema), end(), edges="start > end"))[0] == 22101


def test_a_literal_that_cannot_be_read_as_its_type_is_refused():
    code, message_ = refused(small(joiner("it", n=("integer", "many")), edges="start > it > end"))
    assert (code, message_) == (22101, "text-joiner::it: input n: Failed to convert literal value to integer")


@pytest.mark.parametrize(
    ("written", "handle", "on_failure"),
    [
        ("", "", False), ("normal_one_of::abc", "", False), ("intent_chain|normal_one_of::abc", "", False),
        ("branch_one_of::1", "branch_one_of::1", False), ("intent_chain|branch_one_of::1", "branch_one_of::1", False),
        ("intent_chain|branch_one_of::1|more", "branch_one_of::1", False), ("option-one-of::A", "option-one-of::A", False),
        ("fail_one_of::1", "", True), ("intent_chain|fail_one_of::1", "", True),
    ],
)  # fmt: skip
def test_handles_are_read_with_and_without_their_prefix(written, handle, on_failure):
    document = small()
    document["data"]["edges"][0]["sourceHandle"] = written
    (edge,) = compile_(document).outgoing["node-start::start"]
    assert (edge.handle, edge.on_failure) == (handle, on_failure)


@pytest.mark.parametrize(("nodes", "edges"), [(MAX_NODES + 1, 0), (2, MAX_EDGES + 1)])
def test_a_flow_that_is_too_large_is_refused(nodes, edges):
    document = small()
    document["data"]["nodes"] += document["data"]["nodes"] * ((nodes - 1) // 2)
    document["data"]["edges"] *= max(edges, 1)
    assert refused(document) == (22100, f"a flow may have {MAX_NODES} nodes and {MAX_EDGES} edges at most")


def test_output_nodes_that_wait_for_too_many_others_are_refused():
    before, after = ([message(f"{name}{one}", "x") for one in range(500)] for name in "ab")
    names = [",".join(one.name for one in parts) for parts in (before, after)]
    document = flow(start(), *before, joiner("j"), *after, end(), edges=f"start > {names[0]} > j > {names[1]} > end")
    assert "wait for each other" in refused(document)[1]


def diamonds(count: int):
    """start, then `count` diamonds one after the other: 2 to the power of `count` paths."""
    parts = [joiner(f"{side}{one}", "{{x}}", x=at("start.q")) for one in range(count) for side in "abj"]
    ways = [f"{'start' if one == 0 else f'j{one - 1}'} > a{one},b{one} > j{one}" for one in range(count)]
    return flow(start(q="string"), *parts, end(o=at(f"j{count - 1}.output")), edges=f"{'; '.join(ways)}; j{count - 1} > end")


def test_two_thousand_nodes_in_diamonds_are_run_to_the_end_in_many_steps():
    run = told(diamonds(666), q="x")
    assert run.last.outputs.words == {"o": "x"}
    assert len(run.events) == 2 * 2_000 + 4
    assert len(run.steps) == 21


def test_a_join_of_thousands_of_nodes_is_run_to_the_end():
    names = [f"n{one}" for one in range(2_500)]
    run = told(flow(start(), *map(joiner, names), end(), edges=f"start > {','.join(names)} > end"))
    assert len(run.events) == 2 * 2_502 + 4
    assert max(map(len, run.steps)) < 210


def test_output_nodes_wait_for_the_nearest_output_nodes_before_them():
    document = flow(
        start(), message("a", "a"), joiner("j"), llm("f", retry=retry(2)), message("b", "b"), end(), edges="start > a > j > f > b > end"
    )
    graph = compile_(document)
    assert graph.waits_for["message::b"] == {"spark-llm::f"}
    assert graph.waits_for["node-end::end"] == {"message::b"}
    assert graph.waits_for["message::a"] == set()


def test_only_sources_on_a_way_without_failure_edges_start_an_output_early():
    document = flow(
        start(), llm("ask", retry=retry(2)), llm("beside"), message("m", "{{a}}{{b}}{{c}}",
        a=at("ask.output"), b=at("beside.output"), c=at("start.errorCode")),
        end(), edges="start > beside; start > ask !> m > end",
    )  # fmt: skip
    assert compile_(document).early["message::m"] == set()
