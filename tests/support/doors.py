"""A whole service on the embedded log as one process, for clients that are programs of their own.

In comes a folder and the address of a model; out goes a running `prozess dev` whose demo is there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tenacity import retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from services.dev import demo
from tests.support.programs import Programs

BEARER = {"Authorization": f"Bearer {demo.KEY}:{demo.SECRET}"}


@contextmanager
def dev(folder: Path, model_base: str = "") -> Iterator[Programs]:
    """The service; its own model endpoint is `model_base`, or none."""
    environment = {"OPENAI_BASE_URL": model_base, "OPENAI_API_KEY": "any" if model_base else "", "PROZESS_DATA": str(folder / "data")}
    with Programs(environment, folder) as programs:
        programs.start("dev")
        programs.wait_ready()
        _until_settled(programs.url)
        yield programs


@retry(
    stop=stop_after_delay(30),
    wait=wait_fixed(0.05),
    retry=retry_if_result(lambda there: not there) | retry_if_exception_type(httpx.TransportError),
    reraise=True,
)
def _until_settled(url: str) -> bool:
    """The demo flow is the last thing that dev sets up."""
    answer = httpx.get(f"{url}/v1/models", headers=BEARER, timeout=5)
    return answer.status_code == httpx.codes.OK and demo.FLOW in answer.text
