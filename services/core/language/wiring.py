"""How the nodes of a flow hang together: edges, bodies of iterations and loops, an order without cycles.

In come compiled nodes and the edges of a document; out go which node stands in which body, and in which order nodes can be
looked at; or the first `Problem` with the nodes it is about. No path is ever enumerated.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.core.codes import Code
from services.core.language import document as shapes
from services.core.language.kind import Node
from services.core.language.kinds import KINDS
from services.core.problems import Problem

OUTSIDE = ""
"""The owner of nodes that stand in no body."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`handle` is the branch it belongs to ("" = plain); `on_failure` edges are followed under the fail-branch strategy."""

    source: str
    target: str
    handle: str
    on_failure: bool


def edge_of(part: shapes.EdgePart, nodes: Mapping[str, Node]) -> Edge:
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


def check_handles(nodes: Mapping[str, Node], edges: Iterable[Edge]) -> None:
    """Every edge that leaves a node which chooses a branch names one of its branches. Raises 22300."""
    for edge in edges:
        kind = nodes[edge.source].kind
        known = kind.handles(nodes[edge.source]) if kind.handles and not edge.on_failure else None
        if known is not None and edge.handle not in known:
            said = f"there is no branch {edge.handle}" if edge.handle else "sourceHandle is missing"
            raise Problem(
                Code.ENG_BUILD_ERROR, f"edge {edge.source} → {edge.target}: {said}; expected one of {', '.join(sorted(known)[:20])}"
            )


def start_of(nodes: Iterable[Node]) -> str:
    starts = [node.id for node in nodes if node.kind.name == "node-start"]
    if len(starts) != 1:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"data.nodes: exactly one node-start is needed, there are {len(starts)}")
    return starts[0]


def _reachable(start: str, after: Mapping[str, Sequence[str]]) -> set[str]:
    seen = {start}
    waiting = [start]
    while waiting:
        for target in after.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def owners_of(start: str, nodes: Mapping[str, Node], edges: Sequence[Edge]) -> dict[str, str]:
    """Every node that can run, and the node in whose body it stands (`OUTSIDE` = none). Raises 22101 and 22300."""
    after: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        after[edge.source].append(edge.target)
    owners: dict[str, str] = {}
    waiting = [(start, OUTSIDE)]
    while waiting:
        first, owner = waiting.pop()
        for one in sorted(_reachable(first, after)):
            if one in owners:
                raise Problem(
                    Code.ENG_BUILD_ERROR, f"{one}: this node stands {_where(owners[one])} and {_where(owner)}; no edge may lead in or out"
                )
            owners[one] = owner
            body = nodes[one].kind.body
            if body is not None:
                waiting.append((_body_start(nodes[one], nodes), one))
    return owners


def _where(owner: str) -> str:
    return f"in the body of {owner}" if owner else "outside of all bodies"


def _body_start(node: Node, nodes: Mapping[str, Node]) -> str:
    body = node.kind.body
    assert body is not None, "only who has a body has a start of it"
    start = body.start(node)
    if start not in nodes:
        raise Problem(Code.ENG_BUILD_ERROR, f"{node.id}: the body's start node {start} does not exist (Node not found: {start})")
    if nodes[start].kind.name != body.start_kind:
        raise Problem(Code.ENG_BUILD_ERROR, f"{node.id}: the body's start node {start} must be of the kind {body.start_kind}")
    return start


def check_reach(nodes: Mapping[str, Node], edges: Sequence[Edge], owners: Mapping[str, str]) -> None:
    """Starts are no targets, output nodes can be reached, and every run and round can end."""
    for edge in edges:
        if nodes[edge.target].kind.name == "node-start":
            raise Problem(
                Code.ENG_BUILD_ERROR, f"edge {edge.source} → {edge.target}: the start node cannot be a target, that would be a cycle"
            )
    for node in nodes.values():
        if node.id not in owners and node.kind.speak is not None:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: this node cannot be reached from the start node")
    if not any(nodes[one].kind.name == "node-end" and owner == OUTSIDE for one, owner in owners.items()):
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, "data.nodes: no node-end can be reached from the start node")
    _check_bodies(nodes, owners)


def _check_bodies(nodes: Mapping[str, Node], owners: Mapping[str, str]) -> None:
    ended: set[str] = set()
    ends = {end for kind in KINDS.values() if kind.body for end in kind.body.end_kinds} | {"node-end"}
    for one, owner in owners.items():
        name = nodes[one].kind.name
        body = nodes[owner].kind.body if owner else None
        wanted = body.end_kinds if body else {"node-end"}
        if name in wanted:
            ended.add(owner)
        elif name in ends:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{one}: {name} cannot stand {_where(owner)}")
    for one in owners:
        body = nodes[one].kind.body
        if body is not None and one not in ended:
            raise Problem(
                Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR,
                f"{one}: no {' or '.join(sorted(body.end_kinds))} can be reached from {body.start(nodes[one])}",
            )


def order_of(reachable: Collection[str], edges: Sequence[Edge]) -> list[str]:
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
        cycle = _cycle(set(reachable).difference(order), edges)
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
