"""A real server of the S3 protocol for tests: moto, in an environment of its own because it shares no versions with ours.

The environment is made from `requirements/s3.txt` when it is first needed, and again when that file changes.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from services.kit.program.serving import listen

TOP = Path(__file__).parents[2]
LOCK = TOP / "requirements" / "s3.txt"
START_S = 60


def python() -> Path:
    """The interpreter of that environment, made if it is missing. The whole appears at once, so two makers do no harm."""
    home = Path(os.environ.get("XDG_CACHE_HOME", TOP / ".cache")) / "s3" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    if not home.exists():
        uv, draft = Path(sys.executable).with_name("uv"), home.with_name(f"{home.name}.{os.getpid()}")
        draft.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, draft], check=True)
        wanted = ["--quiet", "--system-certs", "--require-hashes", "-r", LOCK]
        subprocess.run([uv, "pip", "install", "--python", draft / "bin" / "python", *wanted], check=True)
        with contextlib.suppress(OSError):
            draft.rename(home)
    return home / "bin" / "python"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Its address while it runs."""
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [python(), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _answering(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(START_S)


def _answering(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            httpx.get(url, trust_env=False, timeout=5)
        except httpx.TransportError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
