"""What keeps a part of this program from its work although log and rows answer: told by the part itself, shown by its health.

A partition that cannot be taken because the disk of its local file is full is one. In go a part's name and a sentence; out come
the names, for `missing` in `/health/ready`, and the sentences, for the log.
"""


class Obstacles:
    """Told and forgotten by whoever waits."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def tell(self, part: str, why: str) -> None:
        """This part waits, for this reason."""
        self._why[part] = why

    def forget(self, part: str) -> None:
        """It waits no more, or never did."""
        self._why.pop(part, None)

    def why(self, part: str) -> str:
        """The reason in words; empty where the part does not wait."""
        return self._why.get(part, "")

    @property
    def parts(self) -> list[str]:
        """Who waits now."""
        return sorted(self._why)
