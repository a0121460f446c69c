"""The page of the interface: whole without any other host."""

import re
from urllib.parse import urljoin

from tests.services.api.conftest import House


async def test_the_page_asks_no_other_host_and_finds_all_its_parts(house: House):
    page = await house.http.get("/docs")
    assert page.status_code == 200
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) == 3
    for part in parts:
        assert not urljoin("/docs", part).startswith(("http", "//"))
        assert (await house.http.get(part)).status_code == 200
    assert "url: '/openapi.json'" in page.text


async def test_the_page_may_run_and_ask_nothing_from_elsewhere(house: House):
    policy = (await house.http.get("/docs")).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert "http" not in policy


async def test_a_part_that_is_none_is_not_found(house: House):
    for name in ("redoc.standalone.js", "..%2fcore.py", "core.py"):
        assert (await house.http.get(f"/docs/assets/{name}")).status_code == 404
