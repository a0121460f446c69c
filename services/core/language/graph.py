"""From a document to a graph that can be run: checked once, at save and at start (astron.md 4.12).

In comes a document; out goes a `Graph`, or the first `Problem` with the node and the place it is about. Everything here
is linear in nodes and edges; no path is ever enumerated.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from services.core.codes import Code
from services.core.language import document as shapes
from services.core.language.kind import Input, Kind, Node, Source, Speech
from services.core.language.kinds import KINDS
from services.core.language.node import node_of
from services.core.language.values import Schema, default_of, pick
from services.core.language.wiring import OUTSIDE, Edge, check_handles, check_reach, edge_of, order_of, owners_of, start_of
from services.core.nodes.spark_llm import THINKING
from services.core.problems import Problem

MAX_NODES = 5_000
MAX_EDGES = 20_000
MAX_WAITS = 200_000
"""Pairs of an output node and another that it waits for directly."""
ERROR_CODE = "errorCode"
ERROR_MESSAGE = "errorMessage"
ERROR_SCHEMAS: Mapping[str, Schema] = {ERROR_CODE: {"type": "integer"}, ERROR_MESSAGE: {"type": "string"}}


@dataclass(frozen=True)
class Graph:
    """A checked flow.

    `waits_for`, `early` and `late` concern output nodes (3.7): what they wait for, what starts them early, and
    which of their sources nobody may wait for: they do not lie before, and wait themselves for rounds that want to show something.

    `owners` tells in whose body a node stands ("" = in none), `bodies` the nodes of each body, `outside` how many stand in none.
    """

    start: str
    nodes: Mapping[str, Node]
    outgoing: Mapping[str, Sequence[Edge]]
    incoming: Mapping[str, Sequence[Edge]]
    speeches: Mapping[str, Speech]
    waits_for: Mapping[str, frozenset[str]]
    early: Mapping[str, frozenset[str]]
    awakens: Mapping[str, Sequence[str]]
    """Node → output nodes to look at again when the node starts or is settled."""
    late: Mapping[str, frozenset[str]]
    owners: Mapping[str, str]
    bodies: Mapping[str, Sequence[str]]
    depths: Mapping[str, int]
    outside: int

    def inside(self, node: str) -> tuple[str, ...]:
        """The nodes of its body, and of the bodies in there."""
        found = list(self.bodies.get(node, ()))
        for one in found:
            found.extend(self.bodies.get(one, ()))
        return tuple(found)

    def around(self, node: str) -> Iterator[str]:
        """The nodes in whose bodies it stands, the nearest first."""
        while (node := self.owners.get(node, OUTSIDE)) != OUTSIDE:
            yield node


NO_GRAPH = Graph("", {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, 0)
"""Stands in for the graph of a run of which only the time limit can be decided."""


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
    edges = [edge_of(edge, nodes) for edge in part.edges]
    check_handles(nodes, edges)
    start = start_of(nodes.values())
    owners = owners_of(start, nodes, edges)
    check_reach(nodes, edges, owners)
    for node in nodes.values():
        check_references(node, nodes)
    live = [edge for edge in edges if edge.source in owners]
    order = order_of(owners, live)
    chains = {one: tuple(_chain(one, owners)) for one in owners}
    nodes = {one: _without_unseen(nodes[one], nodes, chains) for one in order}
    return _graph(start, nodes, live, order, owners)


def _chain(node: str, owners: Mapping[str, str]) -> Iterator[str]:
    while (node := owners[node]) != OUTSIDE:
        yield node


def check_references(node: Node, nodes: Mapping[str, Node]) -> None:
    """What a node takes from others exists there. Raises 22101."""
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


def _without_unseen(node: Node, nodes: Mapping[str, Node], chains: Mapping[str, Sequence[str]]) -> Node:
    """The node with the default in place of every reference to a node that never runs, or runs in a body it does not stand in."""
    around = chains[node.id]

    def settled(one: Input) -> Input:
        source = one.source
        if not source.node:
            return one
        of = chains.get(source.node)
        if of is not None and around[len(around) - len(of) :] == of:
            return one
        schema = schema_of(nodes[source.node], source.name)
        return replace(one, source=Source(literal=pick(default_of(schema), schema, list(source.keys), f"{node.id}: input {one.name}")))

    return replace(node, inputs=tuple(map(settled, node.inputs)))


def _graph(start: str, nodes: Mapping[str, Node], edges: Sequence[Edge], order: Sequence[str], owners: Mapping[str, str]) -> Graph:
    outgoing: dict[str, list[Edge]] = {one: [] for one in nodes}
    incoming: dict[str, list[Edge]] = {one: [] for one in nodes}
    for edge in edges:
        outgoing[edge.source].append(edge)
        incoming[edge.target].append(edge)
    bodies: dict[str, list[str]] = {one: [] for one in order if nodes[one].kind.body is not None}
    for one in order:
        if owners[one] != OUTSIDE:
            bodies[owners[one]].append(one)
    index = {one: place for place, one in enumerate(order)}
    loud = _loud(nodes, owners)
    upstream: dict[str, int] = {}
    """Per node the bit set of the nodes that reach it without a failure edge."""
    before: dict[str, int] = {}
    """Per node the bit set of all nodes that reach it in its body."""
    nearest: dict[str, int] = {}
    """Per node the bit set of the nearest gating nodes before it; all that lie further are settled before those are."""
    for one in order:
        bits = every = gates = 0
        for edge in incoming[one]:
            source = nodes[edge.source]
            every |= before[source.id] | 1 << index[source.id]
            if not edge.on_failure:
                bits |= upstream[source.id] | 1 << index[source.id]
            gating = source.kind.gates or source.id in loud or (source.retry.should_retry and source.retry.error_strategy == 2)
            gates |= 1 << index[source.id] if gating else nearest[source.id]
        upstream[one], before[one], nearest[one] = bits, every, gates
    speeches = {one: speak(nodes[one]) for one in order if (speak := nodes[one].kind.speak) is not None}
    if sum(nearest[one].bit_count() for one in speeches) > MAX_WAITS:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"data.nodes: more than {MAX_WAITS} pairs of output nodes wait for each other")
    waits_for = {one: frozenset(_named(nearest[one], order)) for one in speeches}
    sources = {one: {part.source.node for part in nodes[one].inputs if part.source.node in index} for one in speeches}
    early = {one: frozenset(source for source in sources[one] if upstream[one] >> index[source] & 1) for one in speeches}
    every_before = {one: before[one] | _union(before[around] for around in _chain(one, owners)) for one in speeches}
    loud_bits = _union(1 << index[one] for one in loud)
    late = {
        one: frozenset(
            source
            for source in sources[one]
            if not every_before[one] >> index[source] & 1 and before[source] & loud_bits & ~every_before[one]
        )
        for one in speeches
    }
    awakens: dict[str, list[str]] = defaultdict(list)
    for one in sorted(speeches):
        for cause in early[one] | waits_for[one] | {edge.source for edge in incoming[one]}:
            awakens[cause].append(one)
    return Graph(
        start=start,
        nodes={one: nodes[one] for one in order},
        outgoing=outgoing,
        incoming=incoming,
        speeches=speeches,
        waits_for=waits_for,
        early=early,
        awakens=awakens,
        late=late,
        owners=owners,
        bodies=bodies,
        depths={one: sum(1 for _ in _chain(one, owners)) for one in order},
        outside=sum(1 for owner in owners.values() if owner == OUTSIDE),
    )


def _union(sets: Iterable[int]) -> int:
    """Bit sets in one."""
    whole = 0
    for one in sets:
        whole |= one
    return whole


def _loud(nodes: Mapping[str, Node], owners: Mapping[str, str]) -> set[str]:
    """The nodes whose bodies hold something that gates: a message inside an iteration makes all after the iteration wait."""
    return {container for one in owners if nodes[one].kind.gates for container in _chain(one, owners)}


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
    found = next((one for one in node.outputs if one.name == name), None)
    if found is None or found.schema.get("type", "string") != "string":
        return ""
    if node.kind.stages is not None:
        return node.kind.stages.get(name, "")
    return "reasoning" if name == THINKING else "content"


def kind_of(kind: str) -> Kind | None:
    """The register, for those who have only a name."""
    return KINDS.get(kind)
