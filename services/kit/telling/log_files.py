"""Where log lines go when they go to files: one file a program, put aside when it is large, thrown away when it is old.

In come a folder and a program's name; out goes a handler that writes `<folder>/<program>.log`. Two programs of one name in
one folder would tear each other's files apart, so the second one is refused.
"""

import fcntl
import itertools
import time
from logging import FileHandler, LogRecord
from pathlib import Path
from typing import IO

from typing_extensions import override

from services.kit.errors import Refused

_DAY_S = 86_400


class Rotating(FileHandler):
    """Puts the file aside under the time of day when it reached `megabytes`, and deletes what is older than `days`."""

    def __init__(self, folder: Path, program: str, megabytes: float, days: float) -> None:
        """Raises `Refused` where the folder cannot be written, or another program of this name writes there."""
        self._most = megabytes * 1_000_000
        self._days = days
        lock: IO[str] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / f".{program}.lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            super().__init__(folder / f"{program}.log", encoding="utf-8")
            self._size = Path(self.baseFilename).stat().st_size
        except OSError as wrong:
            if lock is not None:
                lock.close()
            if isinstance(wrong, BlockingIOError):
                raise Refused(f"PROZESS_LOG_FOLDER: another {program} writes its log to {folder}; give each a folder of its own.") from None
            raise Refused(f"PROZESS_LOG_FOLDER: {folder} cannot be written: {(wrong.strerror or 'unusable').lower()}.") from None
        self._lock = lock
        self._sweep()

    @override
    def emit(self, record: LogRecord) -> None:
        try:
            line = (self.format(record) + self.terminator).encode("utf-8", "backslashreplace").decode()
            size = len(line.encode())
            if self._size and self._size + size > self._most:
                self._put_aside()
            stream = self.stream or self._open()
            stream.write(line)
            stream.flush()
            self._size += size
        except Exception:  # noqa: BLE001 (as logging itself does: a line that cannot be written ends nothing)
            self.handleError(record)

    def give_up(self) -> None:
        """Close the file, and let another program of this name write here."""
        self.close()
        self._lock.close()

    def _put_aside(self) -> None:
        if self.stream is not None:
            self.stream.close()
        current = Path(self.baseFilename)
        now = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        names = (current.with_suffix(f".{now}-{number}.log") for number in itertools.count())
        current.replace(next(name for name in names if not name.exists()))
        self.stream, self._size = self._open(), 0
        self._sweep()

    def _sweep(self) -> None:
        current = Path(self.baseFilename)
        oldest = time.time() - self._days * _DAY_S
        for aside in current.parent.glob(f"{current.stem}.*.log"):
            if aside.stat().st_mtime < oldest:
                aside.unlink(missing_ok=True)
