"""Changed copies of frozen values."""

import dataclasses

import pytest

from services.core.running.changing import replace
from services.core.running.node_run import NodeRun


def test_a_changed_copy_is_what_the_library_makes_and_the_original_stays():
    node = NodeRun("running", "spark-llm", 2, last=7)
    changed = replace(node, status="completed", rank=3)
    assert changed == dataclasses.replace(node, status="completed", rank=3)
    assert (node.status, node.rank, changed.attempt, hash(changed.kind)) == ("running", 0, 2, hash("spark-llm"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.rank = 4  # pyright: ignore[reportAttributeAccessIssue] (that is the point)


def test_a_field_that_is_not_there_is_an_error():
    with pytest.raises(TypeError, match="NodeRun has no field rnak"):
        replace(NodeRun("running"), rnak=1)
