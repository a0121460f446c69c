"""Every queue has a limit (law 8): one that is made without says here what limits it instead."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUEUES = {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "deque"}
LIMITED = {
    "services/api/following/tail.py: self._events": "a feed over FEED_EVENTS or FEED_BYTES cuts its reader off",
    "services/api/following/tail.py: self._recent": "RECENT_EVENTS and RECENT_BYTES; what is older gives way",
    "services/core/running/scheduling.py: waiting": "what moved in one step of one run; steps are bounded",
    "services/kit/embedded/groups.py: super": "of more than CHANGES the older ones give way",
    "services/kit/kafka/shared.py: self._lanes[topic, partition]": "WAITING_BYTES over all lanes; one more is refused",
    "services/kit/embedded/writer.py: self._jobs": "WAITING_BYTES; one more is refused",
    "services/processor/steps/family.py: steps": "what follows from one step; a child's depth is bounded",
    "services/processor/owner.py: waiting": "what follows from one input, before the next is taken",
}


def made(file: Path) -> Iterator[tuple[str, bool]]:
    """Where a module makes queues, and whether with a limit."""
    tree = ast.parse(file.read_text())
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name not in QUEUES:
            continue
        limit = [word.value for word in node.keywords if word.arg in {"maxsize", "maxlen"}] or node.args[1 if name == "deque" else 0 :][:1]
        bounded = bool(limit) and not (isinstance(limit[0], ast.Constant) and not limit[0].value)
        place = parents[node]
        while not isinstance(place, ast.stmt):
            place = parents[place]
        target = place.targets[0] if isinstance(place, ast.Assign) else place.target if isinstance(place, ast.AnnAssign) else None
        if isinstance(target, ast.Tuple):
            target = target.elts[0]
        yield f"{file.relative_to(ROOT)}: {ast.unparse(target) if target is not None else '?'}", bounded


MADE = dict(found for folder in ("services", "projections") for file in sorted((ROOT / folder).rglob("*.py")) for found in made(file))


@pytest.mark.parametrize("place", MADE)
def test_a_queue_has_a_limit_or_says_what_limits_it(place: str):
    assert MADE[place] or place in LIMITED, "give it a maxsize or maxlen, or write down here what limits it"


def test_what_is_written_down_is_still_there():
    assert {place for place in LIMITED if not place.endswith(": super")} <= {place for place, bounded in MADE.items() if not bounded}
