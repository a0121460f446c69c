"""A node kind is one file and one line; what asks for work has somebody who does it."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from services.core import nodes
from services.core.language.kind import Call, Finished, Kind, Query
from services.core.language.kinds import KINDS
from services.core.running.effects import Request
from services.processor.effects import EFFECTS

STARTS = {"iteration-node-start", "loop-node-start"}
ALL = [pytest.param(kind, id=kind.name) for kind in KINDS.values()]
ASKING = [pytest.param(kind, id=kind.name) for kind in KINDS.values() if kind.ask is not None]


def test_every_file_of_nodes_is_one_registered_kind() -> None:
    files = [path.stem for path in Path(nodes.__path__[0]).glob("*.py") if path.stem != "__init__"]
    assert len(files) == len(KINDS)


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_works_or_asks_or_speaks_or_runs_rounds_and_the_start_of_a_round_does_none(kind: Kind) -> None:
    ways = [kind.work is not None, kind.ask is not None, kind.speak is not None, kind.body is not None].count(True)
    assert ways == (0 if kind.name in STARTS else 1)
    assert kind.ask is not None or kind.conclude is None


def test_every_request_has_an_effect() -> None:
    assert set(EFFECTS) == set(get_args(Request))


@pytest.mark.parametrize("kind", ASKING)
def test_every_kind_that_asks_for_work_has_an_effect(kind: Kind) -> None:
    assert kind.ask is not None
    asked = get_type_hints(kind.ask)["return"]
    assert set(get_args(asked) or (asked,)) - {Query, Call, Finished} <= set(EFFECTS)
