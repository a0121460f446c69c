"""What is remembered of commands, keys and ended runs: in memory until a snapshot has it, then in the local file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit.errors import Unreachable
from services.processor.memory.ids import Id, Ids, Kept, MemoryKept, name_of
from services.processor.memory.local_file import LocalFile

COMMAND: Id = ("command", "c-1", "run-1", "1000")
KEY: Id = ("key", "demo", "k-1", "1", "c-1", "1000")
ENDED: Id = ("ended", "1", "demo", "2000")


@pytest.fixture(params=["memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Both keep the same contract."""
    if request.param == "memory":
        yield MemoryKept()
        return
    file = LocalFile(tmp_path, 0, "claim-1")
    yield file.ids
    file.close()


def found(ids: Ids) -> tuple[object, ...]:
    return ids.command("c-1"), ids.key("demo", "k-1"), ids.ended("1")


def test_an_id_is_found_before_and_after_a_snapshot_has_it(kept: Kept) -> None:
    ids = Ids(kept)
    assert found(ids) == (None, None, None)
    assert [ids.note(one) for one in (COMMAND, KEY, ENDED)] == [True, True, True]
    said = ("run-1", ("1", "c-1"), ("demo", 2000))
    assert found(ids) == said
    assert list(kept.all()) == []
    ids.settle([COMMAND, KEY, ENDED])
    assert found(ids) == said
    assert set(kept.all()) == set(ids) == {COMMAND, KEY, ENDED}
    assert list(ids) == list(kept.all())
    assert ("c-1" in ids, "c-2" in ids) == (True, False)


def test_the_first_of_a_name_stays(kept: Kept) -> None:
    ids = Ids(kept)
    ids.settle([COMMAND])
    assert not ids.note(("command", "c-1", "run-2", "3000"))
    ids.settle([("command", "c-1", "run-2", "3000")])
    assert ids.command("c-1") == "run-1"


def test_names_do_not_run_into_each_other(kept: Kept) -> None:
    ids = Ids(kept)
    ids.settle([("key", "a", "b c", "1", "c-1", "1"), ("key", "a b", "c", "2", "c-2", "1"), ("ended", "c-1", "demo", "1")])
    assert (ids.key("a", "b c"), ids.key("a b", "c"), ids.command("c-1")) == (("1", "c-1"), ("2", "c-2"), None)


def test_what_is_older_than_the_window_is_forgotten_wherever_it_is(kept: Kept) -> None:
    ids = Ids(kept)
    ids.settle([COMMAND, ENDED])
    ids.note(KEY)
    ids.forget(1001)
    assert list(ids) == [ENDED]


@pytest.mark.parametrize("odd", [(), ("other", "x", "1"), ("command", "c-1"), ("key", "demo", "k-1", "1")])
def test_what_is_nothing_that_is_remembered_is_refused(kept: Kept, odd: Id) -> None:
    with pytest.raises(ValueError, match="nothing that is remembered"):
        name_of(odd)
    with pytest.raises(ValueError, match="nothing that is remembered"):
        Ids(kept).settle([odd])


def test_a_file_that_cannot_be_used_is_told_as_something_that_may_come_back(tmp_path: Path) -> None:
    file = LocalFile(tmp_path, 0, "claim-1")
    file.close()
    for use in (lambda: file.ids.find(("ended", "1")), lambda: file.ids.keep([ENDED]), lambda: file.ids.forget(0)):
        with pytest.raises(Unreachable, match="local file"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_was_forgotten_can_be_remembered_anew(kept: Kept) -> None:
    ids = Ids(kept)
    ids.settle([KEY])
    ids.forget(1001)
    assert ids.key("demo", "k-1") is None
    ids.settle([("key", "demo", "k-1", "2", "c-2", "5000")])
    assert ids.key("demo", "k-1") == ("2", "c-2")


def test_names_of_what_is_forgotten_leave_the_file(tmp_path: Path) -> None:
    file = LocalFile(tmp_path, 0, "claim-1")
    file.ids.keep([("ended", str(number), "demo", "1") for number in range(10, 50)])
    file.ids.keep([ENDED])
    assert file.ids.names == 41
    for _ in range(256):
        file.ids.forget(2)
    assert file.ids.names == 1
    file.close()


def test_an_old_id_beside_younger_ones_is_forgotten_in_its_time(kept: Kept) -> None:
    ids = Ids(kept)
    ids.settle([KEY, ENDED])
    ids.forget(1500)
    assert (ids.key("demo", "k-1"), ids.ended("1")) == (None, ("demo", 2000))
    assert list(ids) == [ENDED]


def test_a_name_whose_old_meaning_was_forgotten_beside_younger_ids_is_remembered_anew(kept: Kept) -> None:
    ids, again = Ids(kept), ("key", "demo", "k-1", "2", "c-2", "5000")
    ids.settle([KEY, ENDED])
    ids.forget(1500)
    assert ids.note(again)
    ids.settle([again])
    assert ids.key("demo", "k-1") == ("2", "c-2")
    ids.settle([KEY])
    assert ids.key("demo", "k-1") == ("2", "c-2")
    assert set(ids) == {again, ENDED}
