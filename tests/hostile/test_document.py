"""The interface against its own document: what schemathesis makes up of it, positive and negative, over a real socket.

Bounded and with a fixed seed here. By hand, against a service that runs:
`SCHEMATHESIS_HOOKS=tests/hostile/checks.py schemathesis --config-file tests/hostile/schemathesis.toml run URL/openapi.json
-H 'Authorization: Bearer KEY:SECRET' -n 200 --seed 1`
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import Programs

HERE = Path(__file__).parent
EXAMPLES = 1
KEY = "demo-key:demo-secret"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Programs]:
    with Programs({"PROZESS_DATA": str(tmp_path / "data"), "PROZESS_LOG_LEVEL": "warning"}, tmp_path) as programs:
        programs.start("dev")
        programs.wait_ready()
        yield programs
        assert "Traceback" not in programs.said("dev")


@pytest.mark.timeout(300)
def test_every_answer_is_one_that_the_document_knows(service: Programs, tmp_path: Path):
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    options = ["-H", f"Authorization: Bearer {KEY}", "--max-examples", str(EXAMPLES)]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "checks.py")}
    whole = [*command, f"{service.url}/openapi.json", *options]
    done = subprocess.run(whole, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
