"""The table of errors: served, complete, and the documents' codes where they are asked for."""

import json
import re
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.api.answers.errors import TABLE
from services.core.codes import Code
from services.kit.telling.metrics_table import DOCUMENTED
from tests.services.api.conftest import House, W, running, serving
from tests.services.api.test_chat import standard


@pytest.fixture(scope="module")
async def documented(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    async with running(tmp_path_factory.mktemp("documented"), error_codes="documented") as world:
        async for house in serving(world):
            yield house


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.name)
def test_every_code_that_is_decided_is_in_the_table(code: Code):
    assert TABLE[int(code)].symbol


@pytest.mark.parametrize("entry", TABLE.values(), ids=lambda entry: entry.symbol)
def test_every_error_says_what_to_do(entry):
    assert entry.advice != "Look for the run by its event id."
    assert "|" not in entry.advice + entry.message, "the page is a table"


async def test_the_table_is_served_and_printed(house: House):
    rows = (await house.http.get("/v1/errors")).json()["errors"]
    assert {row["code"] for row in rows} == set(TABLE)
    found = next(row for row in rows if row["code"] == 20204)
    assert (found["symbol"], found["doc_code"], found["documents"]) == ("FLOW_NOT_PUBLISH_ERROR", 1001, {"000": 40001, "003": 1001})
    page = await house.http.get("/docs/errors")
    assert page.headers["content-type"].startswith("text/markdown")
    assert all(f"| {code} | {entry.symbol} |" in page.text for code, entry in TABLE.items())


async def test_the_running_systems_code_comes_first_and_the_documents_beside_it(house: House):
    said = (await house.http.post(f"{W}/protocol/get", json={"flow_id": "7"})).json()
    assert (said["code"], said["doc_code"], said["symbol"]) == (20201, 1006, "FLOW_NOT_FOUND_ERROR")


async def test_the_documents_code_comes_first_where_it_is_asked_for(documented: House):
    said = (await documented.http.post(f"{W}/protocol/get", json={"flow_id": "7"})).json()
    assert (said["code"], said["doc_code"], said["symbol"]) == (1006, 20201, "FLOW_NOT_FOUND_ERROR")
    plain = (await documented.http.post(f"{W}/protocol/add", json={"app_id": "nobody"})).json()
    assert (plain["code"], "doc_code" in plain) == (20001, False)


async def test_frames_of_a_stream_carry_the_documents_codes_as_well(documented: House):
    flow = await documented.add(standard())
    async with documented.chat(flow) as answer:
        text = (await answer.aread()).decode()
    frame = json.loads(text.removeprefix("data:").split("\n\n", 1)[0])
    assert (frame["code"], frame["doc_code"]) == (40301, 20004)


async def test_settings_and_metrics_have_pages_too(house: House):
    settings, metrics = await house.http.get("/docs/settings"), await house.http.get("/docs/metrics")
    assert "| `PROZESS_RUN_LIMIT_S` |" in settings.text
    assert all(f"| {one} | {name} | `{here}` |" in metrics.text for one, name, here in DOCUMENTED)
    named = set(re.findall(r"^\| `(prozess_\w+)`", metrics.text, re.MULTILINE))
    shown = {family.name for family in text_string_to_metric_families((await house.http.get("/metrics")).text)}
    shown = {name for name in shown if not name.endswith("_created")}
    assert {name.removesuffix("_total") for name in named} == shown
    for _, _, here in DOCUMENTED:
        assert set(re.findall(r"prozess_\w+", here)) <= named
