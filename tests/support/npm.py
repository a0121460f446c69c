"""JavaScript clients: modules from the npm registry in a temporary folder, and programs that use them.

In come names of modules; out goes a folder where Node finds them. Where there is no Node, or the registry does not
answer, the tests that need them are skipped and say why.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

WANTED = ("openai@6", "eventsource@4", "ws@8")
_INSTALL_S = 120
_RUN_S = 60


class Modules:
    """A folder with `node_modules`."""

    def __init__(self, folder: Path, node: str) -> None:
        self.folder = folder
        self._node = node

    def run(self, script: str, *arguments: str) -> str:
        """What an ECMAScript module prints. Fails the test with what it complained about."""
        path = self.folder / "program.mjs"
        path.write_text(script)
        done = subprocess.run([self._node, str(path), *arguments], capture_output=True, text=True, timeout=_RUN_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    """The modules, fetched once a session."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node or no npm on this machine")
    folder = tmp_path_factory.mktemp("npm")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *WANTED]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {', '.join(WANTED)} within {_INSTALL_S} s")
    if done.returncode:
        reasons = done.stderr.strip().splitlines() or ["no reason given"]
        pytest.skip(f"npm cannot fetch {', '.join(WANTED)}: {reasons[-1]}")
    return Modules(folder, node)
