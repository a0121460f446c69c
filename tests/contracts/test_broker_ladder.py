"""The ladder that finds a real Apache Kafka: which rung is taken, and what is said when none holds. Starts nothing."""

import contextlib
from collections.abc import Iterator

import pytest

from infra.kafka import broker as local
from infra.kafka.broker import CannotStart
from tests.support.broker import NothingFound, Rung, climb, give_up, is_required, kafka_rungs


def a_rung(name: str, refusal: str = "", failure: str = "") -> Rung:
    @contextlib.contextmanager
    def start() -> Iterator[str]:
        if failure:
            raise CannotStart(failure)
        yield f"{name}:9092"

    return Rung(name, lambda: refusal, start)


def test_the_first_rung_that_holds_is_taken() -> None:
    with climb([a_rung("a", refusal="no a"), a_rung("b"), a_rung("c")]) as address:
        assert address == "b:9092"


def test_a_rung_that_breaks_leads_to_the_next() -> None:
    with climb([a_rung("a", failure="out of memory"), a_rung("b")]) as address:
        assert address == "b:9092"


def test_a_server_is_ended_after_use() -> None:
    ended: list[str] = []

    @contextlib.contextmanager
    def start() -> Iterator[str]:
        yield "here"
        ended.append("here")

    with climb([Rung("a", str, start)]):
        assert not ended
    assert ended == ["here"]


def test_without_a_rung_all_reasons_are_told() -> None:
    with (
        pytest.raises(NothingFound, match="a: no a; b: out of memory"),
        climb([a_rung("a", refusal="no a"), a_rung("b", failure="out of memory")]),
    ):
        raise AssertionError


def test_an_address_in_the_environment_comes_first() -> None:
    first, *_ = kafka_rungs({"PROZESS_TEST_KAFKA": "broker:9092"})
    assert not first.refusal()
    with first.start() as address:
        assert address == "broker:9092"


def test_the_rungs_have_their_order_and_the_environment_its_reason() -> None:
    rungs = kafka_rungs({})
    assert [rung.name for rung in rungs] == ["environment", "local Java", "container"]
    assert rungs[0].refusal() == "PROZESS_TEST_KAFKA is not set"


def test_without_java_the_local_rung_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    assert local.missing() == "java and mvn not found"


def test_maven_is_not_missed_once_the_jars_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "prozess" / f"kafka-{local.version()}"
    folder.mkdir(parents=True)
    (folder / "kafka_2.13-4.1.1.jar").touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert local.missing() == "java not found"
    assert local.jars() == folder


@pytest.mark.parametrize(
    ("environment", "required"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"CI": ""}, False),
        ({"PROZESS_REQUIRE_REAL": "1"}, True),
        ({"PROZESS_REQUIRE_REAL": "0"}, False),
    ],
)
def test_a_skip_becomes_a_failure_where_real_servers_are_required(environment: dict[str, str], required: bool) -> None:
    assert is_required(environment) is required
    with pytest.raises(pytest.fail.Exception if required else pytest.skip.Exception, match="no broker at all"):
        give_up("no broker at all", environment)
