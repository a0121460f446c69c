"""Log files: put aside when they are large, thrown away when they are old, written by one program each."""

import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from services.kit.errors import Refused
from services.kit.settings import Settings
from services.kit.telling import logs
from services.kit.telling.log_files import Rotating


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for one in root.handlers:
        if isinstance(one, Rotating):
            one.give_up()
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def configure(folder: Path, **more: float) -> None:
    logs.configure("api", Settings(log_folder=folder, **more))


def lines(folder: Path) -> list[str]:
    return [
        json.loads(line)["event"] for file in sorted(folder.glob("*.log"), key=os.path.getmtime) for line in file.read_text().splitlines()
    ]


def test_lines_go_to_a_file_of_the_program_as_json(tmp_path: Path):
    configure(tmp_path)
    logs.logger("somewhere").info("hello")
    assert lines(tmp_path) == ["hello"]
    assert [file.name for file in tmp_path.glob("*.log")] == ["api.log"]


def test_a_file_that_is_large_is_put_aside_and_no_line_is_lost(tmp_path: Path):
    configure(tmp_path, log_rotation_mb=0.01)
    told = [f"line {number} " + "x" * 1_000 for number in range(30)]
    for line in told:
        logs.logger("somewhere").info(line)
    files = list(tmp_path.glob("*.log"))
    assert len(files) > 2
    assert all(file.stat().st_size <= 10_000 for file in files)
    assert sorted(lines(tmp_path)) == sorted(told)


def test_what_was_put_aside_long_ago_is_thrown_away_and_nothing_else(tmp_path: Path):
    old, young, other = (tmp_path / name for name in ("api.20250101T000000-0.log", "api.20250102T000000-0.log", "processor.log"))
    for file in (old, young, other):
        file.touch()
    for file in (old, other):
        os.utime(file, (0, time.time() - 8 * 86_400))
    configure(tmp_path, log_retention_days=7)
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def test_a_second_program_of_the_name_is_refused_until_the_first_is_gone(tmp_path: Path):
    first = Rotating(tmp_path, "api", 1, 1)
    with pytest.raises(Refused, match="PROZESS_LOG_FOLDER: another api"):
        Rotating(tmp_path, "api", 1, 1)
    Rotating(tmp_path, "processor", 1, 1).give_up()
    first.give_up()
    Rotating(tmp_path, "api", 1, 1).give_up()


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="PROZESS_LOG_FOLDER: .* cannot be written"):
        configure(tmp_path / "file")
