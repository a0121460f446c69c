"""The command line: help, sentences, exit codes, and what it shows of a record."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from events import delta, node, ownership, run
from events.envelope import Fact, encode
from events.topics import EVENTS, mint, partition_of, run_stream, slot_of_id
from projections import runs
from services.cli import build, main
from services.cli.reading import follow
from services.kit.database import Database
from services.kit.embedded.log import SqliteLog
from services.kit.rows import Rows
from services.kit.settings import Settings, load, variable
from tests.support.samples import TIME, envelope, full, minimal, words

PARTITIONS = 4
RUN = mint(TIME, 2500, 1)
OTHER = mint(TIME, 2500, 2)
COMMANDS = (
    "dev",
    "api",
    "processor",
    "projector",
    "topics",
    "runs",
    "tail",
    "replay",
    "rebuild",
    "audit-consistency",
    "migrate",
    "doctor",
    "settings",
    "app",
    "key",
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in [*map(variable, Settings.model_fields), "PORT"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROZESS_PARTITIONS", str(PARTITIONS))


def shown(text: str, to: str = "message::1", stage: str = "content") -> Fact:
    return minimal(delta.NodeDelta, text=words(text), shown=to, stage=stage)


async def write(folder: Path, stream: str, facts: Sequence[Fact]) -> None:
    """A record with one claimed partition, another run, a zombie's event, and these facts, one second apart."""
    partition = partition_of(slot_of_id(RUN), PARTITIONS)
    log = SqliteLog(folder / "log.sqlite", PARTITIONS)
    await log.start()
    claim = minimal(ownership.PartitionClaimed)
    envelopes = [
        envelope(claim, f"partition-{partition}", claim=claim.id),
        envelope(shown("zombie"), stream, claim="claim-x"),
        envelope(full(run.RunStarted), run_stream(OTHER), claim=claim.id),
        *(envelope(fact, stream, claim=claim.id, id=f"e{place}", time=TIME + 1000 * place) for place, fact in enumerate(facts)),
    ]
    await log.append(EVENTS, partition, [encode(one) for one in envelopes])
    await log.stop()


A_RUN = (
    minimal(run.RunStarted, run=RUN),
    shown("Let me think", stage="reasoning"),
    shown("The sky "),
    shown("never shown", to=""),
    shown("is blue"),
    minimal(node.OutputClosed, text=words(".")),
    minimal(run.RunCompleted),
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    asyncio.run(write(tmp_path, run_stream(RUN), A_RUN))
    return tmp_path


def test_help_lists_every_command_with_a_sentence(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0

    told = capsys.readouterr().out
    assert all(f"│ {command} " in told for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_sentence_and_an_environment_twin(command: str):
    found = build()[command]
    inner = [] if found.default_command else [found[name] for name in found if not name.startswith("-")]
    for option in [one for each in (inner or [found]) for one in each.assemble_argument_collection()]:
        if option.parse and option.show:
            assert (option.parameter.help or "").endswith("."), option.name
            assert option.parameter.env_var or not option.name.startswith("--"), option.name


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["sausage"], 'Unknown command "sausage"'),
        (["dev", "--sausage"], "Unknown option: --sausage"),
        (["dev", "--port", "x"], "Invalid value for --port"),
        (["tail"], "RUN requires an argument"),
        (["tail", "sausage", "--data", "DATA"], "a run's id is a decimal number"),
        (["tail", "1" * 20, "--data", "DATA"], "a run's id is a decimal number"),
        (["tail", "12", "--data", "DATA"], "the log has no run 12"),
        (["tail", RUN, "--data", "nowhere/at/all"], "there is no log in nowhere/at/all yet"),
        (["tail", RUN, "--from", "0"], "--from"),
        (["replay", RUN, "--speed", "7"], "--speed"),
        (["runs", "--limit", "0"], "--limit"),
        (["runs", "--data", "DATA"], "run `prozess migrate`"),
        (["topics", "--partitions", "0"], "PROZESS_PARTITIONS is not right"),
        (["migrate", "--data", "/proc/nothing"], "the data folder /proc/nothing cannot be written"),
        (["migrate", "--database", "sausage://"], "the database must be"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence_and_exit_code_2(
    record: Path, capsys: pytest.CaptureFixture[str], tokens: list[str], said: str
):
    code = main([str(record) if token == "DATA" else token for token in tokens])

    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert said in told.err
    assert told.err.startswith("prozess: ")
    assert told.err.count("\n") == 1


def test_a_wrong_environment_is_named_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PROZESS_PING_S", "sausage")

    assert main(["topics"]) == 2
    assert (
        capsys.readouterr().err
        == "prozess: PROZESS_PING_S is not right: input should be a valid number, unable to parse string as a number.\n"
    )


def test_topics_lists_partitions_bounds_and_identity(record: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["topics", "--data", str(record)]) == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(rows) == 3 * PARTITIONS
    assert [row[2:] for row in rows if row[0] == EVENTS] == [
        ["0", "0", "0", "0"],
        ["1", "0", "0", "0"],
        ["2", "0", "10", "10"],
        ["3", "0", "0", "0"],
    ]
    assert len({row[1] for row in rows}) == 3


def test_tail_shows_the_accepted_events_of_the_run_and_ends_with_it(record: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["tail", RUN, "--data", str(record)]) == 0

    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == [str(place) for place in range(1, 8)]
    assert [line.split()[3] for line in out.splitlines()] == [fact.type for fact in A_RUN]
    assert "zombie" not in out
    assert "\x1b" not in out


def test_tail_begins_at_the_position_asked_for_and_can_print_json(record: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["tail", RUN, "--from", "6", "--json", "--data", str(record)]) == 0

    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["position"], line["type"]) for line in lines] == [(6, "output.closed"), (7, "run.completed")]
    assert lines[0]["data"]["text"]["words"] == "."


def test_replay_at_once_prints_what_was_shown(record: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["replay", RUN, "--speed", "max", "--data", str(record)]) == 0

    assert capsys.readouterr().out == "Let me think\nThe sky is blue.\n"


@pytest.mark.parametrize(("speed", "seconds"), [("1", 6.0), ("10", 0.6), ("max", 0.0)])
def test_replay_takes_the_time_of_the_events(record: Path, monkeypatch: pytest.MonkeyPatch, speed: str, seconds: float):
    waited = list[float]()

    async def pause(length: float) -> None:
        waited.append(length)

    monkeypatch.setattr("services.cli.record.pause", pause)

    assert main(["replay", RUN, "--speed", speed, "--data", str(record)]) == 0
    assert sum(waited) == pytest.approx(seconds)


def test_migrate_makes_the_tables_and_runs_lists_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["migrate", "--data", str(tmp_path)]) == 0
    assert main(["migrate", "--data", str(tmp_path)]) == 0
    capsys.readouterr()

    assert main(["runs", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["run", "app", "flow", "chat", "status", "started", "seconds"]


def test_doctor_exits_1_until_everything_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--data", str(tmp_path)]) == 1
    assert "prozess migrate" in capsys.readouterr().out
    assert main(["migrate", "--data", str(tmp_path)]) == 0
    capsys.readouterr()

    assert main(["doctor", "--data", str(tmp_path)]) == 0
    assert "✗" not in capsys.readouterr().out


def test_settings_lists_every_variable_and_no_credential(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("OPENAI_API_KEY", "hush")

    assert main(["settings"]) == 0
    told = capsys.readouterr().out
    assert all(variable(name) in told for name in Settings.model_fields)
    assert "hush" not in told


def test_as_a_program_it_prints_plain_text_and_its_exit_code(tmp_path: Path):
    environment = {**os.environ, "PROZESS_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "services.cli"]

    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, env=environment, check=False)
    refused = subprocess.run([*command, "topics"], capture_output=True, text=True, env=environment, check=False)

    assert (helped.returncode, helped.stderr, "\x1b" in helped.stdout) == (0, "", False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"prozess: there is no log in {tmp_path} yet; give another folder with --data, or start `prozess dev`.\n"


async def test_a_run_that_goes_on_is_followed_until_it_ends(tmp_path: Path):
    await write(tmp_path, run_stream(RUN), A_RUN[:3])
    settings = load(data=tmp_path)
    log = SqliteLog(tmp_path / "log.sqlite", PARTITIONS)
    await log.start()
    seen = list[tuple[int, str]]()

    async for event in follow(log, settings, RUN):
        seen.append((event.position, event.meta.type))
        if event.meta.type == "run.completed":
            break
        if event.position == 3:
            rest = [encode(envelope(fact, run_stream(RUN), claim="claim-1", id=f"late-{fact.type}")) for fact in A_RUN[5:]]
            await log.append(EVENTS, partition_of(slot_of_id(RUN), PARTITIONS), rest)
    await log.stop()

    assert seen == [(1, "run.started"), (2, "node.delta"), (3, "node.delta"), (4, "output.closed"), (5, "run.completed")]


async def rows_of(folder: Path) -> None:
    """The rows of a small record, projected to its end."""
    from tests.support.histories import History
    from tests.support.projecting import append, following, projector_world

    database = Database(f"sqlite:///{folder}/rows.sqlite")
    await database.migrate()
    async with projector_world(folder, database, PARTITIONS) as world:
        history = History(0)
        history.run(chat="c-1")
        last = await append(world, history)
        async with following(world):
            await Rows(database).wait(0, last, 20)
        async with database.begin() as connection:
            await connection.execute(sa.update(runs.runs).values(status="wrong"))
    await database.dispose()


def test_rows_that_differ_from_the_log_are_told_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(rows_of(tmp_path))
    data = ["--data", str(tmp_path)]
    assert main(["audit-consistency", *data]) == 1
    told = capsys.readouterr().out
    assert "1 differ" in told
    assert ": other status" in told
    assert main(["rebuild", "runs", *data]) == 0
    assert "Rebuilt runs from" in capsys.readouterr().out
    assert main(["audit-consistency", "runs", *data]) == 0
    assert "equal" in capsys.readouterr().out
    assert main(["rebuild", "--all", *data]) == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["rebuild"], "name the read models to rebuild, or say --all."),
        (["rebuild", "runs", "--all"], "name the read models to rebuild, or say --all."),
        (["rebuild", "people"], "there is no read model people; there are apps, "),
        (["audit-consistency", "people"], "there is no read model people; there are apps, "),
    ],
)
def test_a_rebuild_without_a_known_name_is_refused(asked: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked) == 2
    assert told in capsys.readouterr().err
