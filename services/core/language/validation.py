"""Everything that is wrong with a flow document, and what looks like a mistake (astron.md 4.12).

`compile_` says the first thing that is wrong, which decides the code; here the others are looked for as well, node by node and
edge by edge, as far as each can be judged alone. What can run, but hardly as it was meant (a node that nothing leads to, a
branch that leads nowhere, a placeholder that no input fills), is a warning.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from services.core.language import document as shapes
from services.core.language.graph import check_references, compile_
from services.core.language.kind import Node
from services.core.language.node import node_of
from services.core.language.template import unfilled
from services.core.language.wiring import Edge, check_handles, edge_of
from services.core.problems import Problem

MOST = 20
"""So many problems, and so many warnings, are told."""
_TEMPLATES = frozenset({"template", "systemTemplate", "reasoningTemplate", "prompt", "promptPrefix", "question", "instruction"})
_FAIL_BRANCH = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong, the first one first, and what looks wrong."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def examine(document: object) -> Report:
    """Look at a document as a whole."""
    try:
        compile_(document)
    except Problem as first:
        found = [first, *(one for one in _others(document) if one.message != first.message)]
        return Report(problems=tuple(found[:MOST]))
    return Report(warnings=tuple(_first(_warnings(shapes.read(document)))))


def _first(warnings: Iterator[str]) -> Sequence[str]:
    return [warning for warning, _ in zip(warnings, range(MOST), strict=False)]


def _others(document: object) -> Iterator[Problem]:
    """What is wrong with nodes and edges one by one."""
    try:
        part = shapes.read(document)
    except Problem:
        return
    nodes: dict[str, Node] = {}
    for one in part.nodes:
        try:
            nodes[one.id] = node_of(one)
        except Problem as problem:
            yield problem
    if len(nodes) == len(part.nodes):
        for node in nodes.values():
            yield from _raised(lambda node=node: check_references(node, nodes))
    known = {one.id for one in part.nodes}
    for edge in part.edges:
        if edge.source in nodes and edge.target in nodes:
            yield from _raised(lambda edge=edge: check_handles(nodes, [edge_of(edge, nodes)]))
        elif not {edge.source, edge.target} <= known:
            yield from _raised(lambda edge=edge: edge_of(edge, cast("Mapping[str, Node]", dict.fromkeys(known))))


def _raised(check: Callable[[], object]) -> Iterator[Problem]:
    try:
        check()
    except Problem as problem:
        yield problem


def _warnings(part: shapes.GraphPart) -> Iterator[str]:
    nodes = {one.id: node_of(one) for one in part.nodes}
    edges = [edge_of(edge, nodes) for edge in part.edges]
    outgoing: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        outgoing[edge.source].append(edge)
    seen = _reached(nodes, outgoing)
    for one in part.nodes:
        if one.id not in seen:
            yield f"{one.id}: this node cannot be reached from the start node"
        yield from _of_branches(nodes[one.id], outgoing[one.id])
        yield from _of_templates(one.id, one.data.param, {name.name for name in one.data.inputs})
    ends = Counter(node.kind.name for node in nodes.values() if node.id in seen)["node-end"]
    if ends > 1:
        yield f"data.nodes: {ends} nodes of the kind node-end can be reached; the first one that ends gives the run's outputs"


def _reached(nodes: Mapping[str, Node], outgoing: Mapping[str, Sequence[Edge]]) -> set[str]:
    waiting = [one for one, node in nodes.items() if node.kind.name == "node-start"]
    seen = set(waiting)
    while waiting:
        one = waiting.pop()
        body = nodes[one].kind.body
        inside = [body.start(nodes[one])] if body else []
        for target in (*(edge.target for edge in outgoing.get(one, ())), *inside):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def _of_branches(node: Node, edges: Sequence[Edge]) -> Iterator[str]:
    handles = (node.kind.handles(node) if node.kind.handles else None) or ()
    taken = {edge.handle for edge in edges if not edge.on_failure}
    for handle in sorted(set(handles) - taken):
        yield f"{node.id}: no edge leaves the branch {handle}"
    if node.kind.handles is None:
        for handle in sorted(taken - {""}):
            yield f"{node.id}: this node chooses no branch, the sourceHandle {handle} means nothing"
    fails_over = node.retry.should_retry and node.retry.error_strategy == _FAIL_BRANCH and node.kind.retries
    led = any(edge.on_failure for edge in edges)
    if fails_over and not led:
        yield f"{node.id}: retryConfig.errorStrategy is 2 (fail branch), but no failure edge leaves the node"
    if led and not fails_over:
        yield f"{node.id}: its failure edge is never followed: retryConfig.shouldRetry with errorStrategy 2 is expected"


def _of_templates(node: str, param: JsonValue, names: set[str], place: str = "nodeParam", *, below: bool = False) -> Iterator[str]:
    if isinstance(param, dict):
        for name, value in param.items():
            if isinstance(value, dict) or (isinstance(value, str) and (below or name in _TEMPLATES)):
                yield from _of_templates(node, value, names, f"{place}.{name}", below=name in _TEMPLATES)
    elif isinstance(param, str):
        for name in unfilled(param, names):
            yield f"{node}: {place}: there is no input {name}, so {{{{{name}}}}} stays in the text as it is"
