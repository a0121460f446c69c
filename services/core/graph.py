"""From a document to a graph that can be run: checked once, at save and at start (astron.md 4.12).

In comes a document; out goes a `Graph`, or the first `Problem` with the node and the place it is about. Everything here
is linear in nodes and edges; no path is ever enumerated.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from services.core import document as shapes
from services.core.codes import Code
from services.core.kind import Input, Kind, Node, Source, Speech
from services.core.kinds import KINDS
from services.core.node import node_of
from services.core.nodes.spark_llm import THINKING
from services.core.problems import Problem
from services.core.values import Schema, default_of, pick

MAX_NODES = 5_000
MAX_EDGES = 20_000
MAX_WAITS = 200_000
"""Pairs of an output node and another that it waits for directly."""
ERROR_CODE = "errorCode"
ERROR_MESSAGE = "errorMessage"
ERROR_SCHEMAS: Mapping[str, Schema] = {ERROR_CODE: {"type": "integer"}, ERROR_MESSAGE: {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Edge:
    """`handle` is the branch it belongs to ("" = plain); `on_failure` edges are followed under the fail-branch strategy."""

    source: str
    target: str
    handle: str
    on_failure: bool


@dataclass(frozen=True)
class Graph:
    """A checked flow. `waits_for` and `early` concern output nodes (3.7): what they wait for, and what starts them early."""

    start: str
    nodes: Mapping[str, Node]
    outgoing: Mapping[str, Sequence[Edge]]
    incoming: Mapping[str, Sequence[Edge]]
    speeches: Mapping[str, Speech]
    waits_for: Mapping[str, frozenset[str]]
    early: Mapping[str, frozenset[str]]
    awakens: Mapping[str, Sequence[str]]
    """Node → output nodes to look at again when the node starts or is settled."""


def compile_(document: object) -> Graph:
    """Check everything that can be checked before a run. Raises `Problem`: 20100 (shape), 22100, 22101, 22300."""
    part = shapes.read(document)
    if not part.nodes:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, "data.nodes: there is no node (Node configuration information not found)")
    if len(part.nodes) > MAX_NODES or len(part.edges) > MAX_EDGES:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"a flow may have {MAX_NODES} nodes and {MAX_EDGES} edges at most")
    nodes: dict[str, Node] = {}
    for one in part.nodes:
        if one.id in nodes:
            raise Problem(Code.ENG_BUILD_ERROR, f"{one.id}: this node id is used twice")
        nodes[one.id] = node_of(one)
    edges = [_edge(edge, nodes) for edge in part.edges]
    start = _start(nodes.values())
    reachable = _reachable(start, edges)
    _check_reach(nodes, edges, reachable)
    for node in nodes.values():
        _check_references(node, nodes)
    nodes = {one: _without_unreachable(node, nodes, reachable) for one, node in nodes.items()}
    live = [edge for edge in edges if edge.source in reachable]
    order = _order(reachable, live)
    return _graph(start, nodes, live, order)


def _edge(part: shapes.EdgePart, nodes: Mapping[str, Node]) -> Edge:
    for end in (part.source, part.target):
        if end not in nodes:
            raise Problem(Code.ENG_BUILD_ERROR, f"edge {part.source} → {part.target}: Node not found: {end}")
    written = part.handle
    if "fail_one_of" in written:
        return Edge(part.source, part.target, "", on_failure=True)
    bars = written.split("|")
    handle = bars[1] if len(bars) > 1 else bars[0]
    plain = not handle or handle.startswith("normal_one_of")
    return Edge(part.source, part.target, "" if plain else handle, on_failure=False)


def _start(nodes: Iterable[Node]) -> str:
    starts = [node.id for node in nodes if node.kind.name == "node-start"]
    if len(starts) != 1:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"data.nodes: exactly one node-start is needed, there are {len(starts)}")
    return starts[0]


def _reachable(start: str, edges: Sequence[Edge]) -> set[str]:
    after: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        after[edge.source].append(edge.target)
    seen = {start}
    waiting = [start]
    while waiting:
        for target in after[waiting.pop()]:
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def _check_reach(nodes: Mapping[str, Node], edges: Sequence[Edge], reachable: set[str]) -> None:
    for edge in edges:
        if nodes[edge.target].kind.name == "node-start":
            raise Problem(
                Code.ENG_BUILD_ERROR, f"edge {edge.source} → {edge.target}: the start node cannot be a target, that would be a cycle"
            )
    for node in nodes.values():
        if node.id not in reachable and node.kind.speak is not None:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: this node cannot be reached from the start node")
    if not any(nodes[one].kind.name == "node-end" for one in reachable):
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, "data.nodes: no node-end can be reached from the start node")


def _check_references(node: Node, nodes: Mapping[str, Node]) -> None:
    for one in node.inputs:
        source = one.source
        if not source.node and not source.name:
            continue
        target = nodes.get(source.node)
        names = {output.name for output in target.outputs} | ERROR_SCHEMAS.keys() if target else set[str]()
        if source.name not in names:
            raise Problem(
                Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR,
                f"{node.id}: input {one.name} refers to {source.node or '(no node)'}.{source.name}, which does not exist",
            )


def _without_unreachable(node: Node, nodes: Mapping[str, Node], reachable: set[str]) -> Node:
    """The node with the default in place of every reference to a node that never runs."""

    def settled(one: Input) -> Input:
        source = one.source
        if not source.node or source.node in reachable:
            return one
        schema = schema_of(nodes[source.node], source.name)
        return replace(one, source=Source(literal=pick(default_of(schema), schema, list(source.keys), f"{node.id}: input {one.name}")))

    return replace(node, inputs=tuple(map(settled, node.inputs)))


def _order(reachable: set[str], edges: Sequence[Edge]) -> list[str]:
    """Kahn's order of the reachable nodes. A cycle is refused with its nodes named."""
    missing: dict[str, int] = dict.fromkeys(reachable, 0)
    after: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        missing[edge.target] += 1
        after[edge.source].append(edge.target)
    ready = sorted(one for one, count in missing.items() if not count)
    order: list[str] = []
    while ready:
        node = ready.pop()
        order.append(node)
        for target in after[node]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(order) < len(reachable):
        cycle = _cycle(reachable.difference(order), edges)
        shown = " → ".join(cycle[:10]) + (f" → {len(cycle) - 10} more" if len(cycle) > 10 else "")
        raise Problem(Code.ENG_BUILD_ERROR, f"data.edges: the graph has a cycle: {shown} → {cycle[0]}")
    return order


def _cycle(rest: set[str], edges: Sequence[Edge]) -> list[str]:
    """One cycle among nodes each of which has another of them before it: going back long enough meets a node again."""
    before = {edge.target: edge.source for edge in edges if edge.source in rest and edge.target in rest}
    way: dict[str, None] = {}
    at = min(rest)
    while at not in way:
        way[at] = None
        at = before[at]
    back = list(way)
    cycle = back[back.index(at) :][::-1]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


def _graph(start: str, nodes: Mapping[str, Node], edges: Sequence[Edge], order: Sequence[str]) -> Graph:
    outgoing: dict[str, list[Edge]] = {one: [] for one in nodes}
    incoming: dict[str, list[Edge]] = {one: [] for one in nodes}
    for edge in edges:
        outgoing[edge.source].append(edge)
        incoming[edge.target].append(edge)
    index = {one: place for place, one in enumerate(order)}
    upstream: dict[str, int] = {}
    """Per node the bit set of the nodes that reach it without a failure edge."""
    nearest: dict[str, int] = {}
    """Per node the bit set of the nearest gating nodes before it; all that lie further are settled before those are."""
    for one in order:
        bits = 0
        gates = 0
        for edge in incoming[one]:
            before = nodes[edge.source]
            if not edge.on_failure:
                bits |= upstream[before.id] | 1 << index[before.id]
            gating = before.kind.gates or (before.retry.should_retry and before.retry.error_strategy == 2)
            gates |= 1 << index[before.id] if gating else nearest[before.id]
        upstream[one] = bits
        nearest[one] = gates
    speeches = {one: speak(nodes[one]) for one in order if (speak := nodes[one].kind.speak) is not None}
    if sum(nearest[one].bit_count() for one in speeches) > MAX_WAITS:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"data.nodes: more than {MAX_WAITS} pairs of output nodes wait for each other")
    waits_for = {one: frozenset(_named(nearest[one], order)) for one in speeches}
    early = {
        one: frozenset(
            part.source.node for part in nodes[one].inputs if part.source.node in index and upstream[one] >> index[part.source.node] & 1
        )
        for one in speeches
    }
    awakens: dict[str, list[str]] = defaultdict(list)
    for one in sorted(speeches):
        for cause in early[one] | waits_for[one] | {edge.source for edge in incoming[one]}:
            awakens[cause].append(one)
    return Graph(start, {one: nodes[one] for one in order}, outgoing, incoming, speeches, waits_for, early, awakens)


def _named(bits: int, order: Sequence[str]) -> Iterable[str]:
    while bits:
        lowest = bits & -bits
        yield order[lowest.bit_length() - 1]
        bits ^= lowest


def schema_of(node: Node, name: str) -> Schema:
    """The schema of an output or error variable of a node."""
    return next((one.schema for one in node.outputs if one.name == name), None) or dict(ERROR_SCHEMAS.get(name, {}))


def defaults(node: Node) -> dict[str, JsonValue]:
    """What a node's outputs hold before it ran, or where it was skipped."""
    return {one.name: default_of(one.schema) for one in node.outputs}


def stage_of(node: Node, name: str) -> str:
    """The stage whose deltas become this output while the node streams; "" where its value comes only at the end."""
    if not node.kind.streams(node):
        return ""
    if not any(one.name == name for one in node.outputs):
        return ""
    return "reasoning" if name == THINKING else "content"


def kind_of(kind: str) -> Kind | None:
    """The register, for those who have only a name."""
    return KINDS.get(kind)
