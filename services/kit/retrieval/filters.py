"""Which files of a repository are read (deepwiki_and_stream.md A8).

In come the lists of a request; out go yes and no for paths inside the repository. Names above its root never count.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import unquote

from services.kit.retrieval.port import Filters

_DOCUMENTED = "py js ts java cpp c h hpp go rs jsx tsx html css php swift cs"
_MORE = "mjs cjs cc kt kts rb vue svelte scala lua sh sql proto m mm dart ex exs"
CODE = frozenset(f"{_DOCUMENTED} {_MORE}".split())
TEXT = frozenset(["md", "mdx", "txt", "rst", "adoc", "json", "yaml", "yml", "toml"])
_DIRS = (
    "node_modules",
    "bower_components",
    "jspm_packages",
    "__pycache__",
    "site-packages",
    "venv",
    "virtualenv",
    "env",
    "dist",
    "build",
    "out",
    "target",
    "bin",
    "obj",
    "coverage",
    "log",
    "logs",
    "tmp",
    "temp",
)
_FILES = (
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "Cargo.lock",
    "composer.lock",
    "*.min.js",
    "*.min.css",
    "*.map",
    "*.bundle.js",
    "*.pb.go",
    "*_pb2.py",
)


def lines(text: str | None) -> tuple[str, ...]:
    """A list as clients send it: one entry a line, percent-decoded; blank lines do not count, blanks around an entry do."""
    return tuple(entry for entry in (unquote(line.removesuffix("\r")) for line in (text or "").split("\n")) if entry.strip())


class Chooser:
    """Yes or no for one request."""

    def __init__(self, filters: Filters) -> None:
        self._only = bool(filters.included_dirs or filters.included_files)
        self._only_dirs = [_tidy(one) for one in filters.included_dirs]
        self._only_files = filters.included_files
        self._no_dirs = [*_DIRS, *map(_tidy, filters.excluded_dirs)]
        self._no_files = [*_FILES, *filters.excluded_files]

    def walks(self, folder: str) -> bool:
        """Whether to look into a folder, given by its path inside the repository."""
        parts = folder.split("/")
        if parts[-1].startswith("."):
            return False
        return self._only or not _inside(folder, self._no_dirs)

    def reads(self, path: str) -> bool:
        """Whether to read a file, given by its path inside the repository."""
        folder, _, name = path.rpartition("/")
        if _extension(name) not in CODE | TEXT or name.startswith("."):
            return False
        if self._only:
            return _inside(folder, self._only_dirs) or any(_is(name, path, one) or name.endswith(one) for one in self._only_files)
        return not any(_is(name, path, one) for one in self._no_files)


def is_code(path: str) -> bool:
    """Whether a file that is read is code, not a document."""
    return _extension(path) in CODE


def _extension(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _tidy(folder: str) -> str:
    return folder.strip().removeprefix("./").strip("/")


def _inside(folder: str, names: Iterable[str]) -> bool:
    """Whether a folder is, or is below, one of these: by the name of any part, by a path from the root, or by a pattern."""
    parts = folder.split("/") if folder else []
    ways = {"/".join(parts[: index + 1]) for index in range(len(parts))}
    return any(name and (name in parts or name in ways or any(fnmatchcase(part, name) for part in parts)) for name in names)


def _is(name: str, path: str, wanted: str) -> bool:
    wanted = wanted.removeprefix("./")
    return wanted in {name, path} or fnmatchcase(name, wanted) or fnmatchcase(path, wanted)
