"""The errors of the outside world, in our words. Adapters translate driver errors into these, once.

ProzessError
├── Refused            start-up cannot go on: one sentence, exit code 2
│   ├── LogInUse       another process holds the embedded log
│   └── TopicMismatch  a topic is not as it must be
├── LogError
│   ├── Unreachable    the log does not answer now; try again
│   ├── AppendFailed   a batch may or may not be in the log; its appender is closed for good
│   ├── TooLarge       the batch is larger than the topic's limit; nothing was written
│   ├── NotMember      the group gave the partition to somebody else
│   └── HistoryLost    the log no longer has the place that was asked for
├── BlobMissing
├── SecretMissing
├── FileGone           a link to a file ended, or there is no such file
└── NotReady           rows did not reach a position in time
"""


class ProzessError(Exception):
    """Anything we foresee."""


class OutsideFailed(ProzessError):
    """Something beside us did not do what it was asked. `kind` is a word for machines, `temporary` says that asking again may help."""

    def __init__(self, message: str, *, kind: str, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.temporary = temporary


class Refused(ProzessError):
    """The program cannot start; the message is one sentence that says what to do."""


class LogInUse(Refused):
    """Another process holds the embedded log."""


class TopicMismatch(Refused):
    """A topic has other partitions or settings than this deployment needs, or may not be created."""


class LogError(ProzessError):
    """The log could not do what was asked."""


class Unreachable(LogError):
    """The log does not answer now."""


class AppendFailed(LogError):
    """The batch may or may not be in the log. The appender is closed: take a new one, and fold again."""


class TooLarge(LogError):
    """The batch is larger than the topic's limit. Nothing was written."""


class NotMember(LogError):
    """The group gave the partition to somebody else."""


class HistoryLost(LogError):
    """The log begins after, or ends before, the place that was asked for."""


class FileGone(ProzessError):
    """The link ended, or the file is not there."""


class BlobMissing(ProzessError):
    """A blob that the log refers to is not in the store."""


class SecretMissing(ProzessError):
    """A secret reference cannot be resolved: unknown, expired, or another app's."""


class NotReady(ProzessError):
    """The rows did not reach the position in time."""
