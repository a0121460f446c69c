"""Addresses of models, and the table of those that can continue."""

import pytest

from services.kit.models.continues import Unrepeated, shape_of
from services.kit.models.endpoint import endpoint_of
from services.kit.models.port import ModelFailed


@pytest.mark.parametrize(
    ("url", "base", "host", "port"),
    [
        ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1", "api.example.com", 443),
        ("https://api.example.com/v1/chat/completions/", "https://api.example.com/v1", "api.example.com", 443),
        ("https://api.example.com/v1", "https://api.example.com/v1", "api.example.com", 443),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1", 8000),
        (" http://[::1]:8000/v1/ ", "http://[::1]:8000/v1", "::1", 8000),
        ("http://Host/v3/chat", "http://Host/v3/chat", "host", 80),
    ],
)
def test_the_last_two_segments_of_a_chat_address_are_cut_off(url: str, base: str, host: str, port: int) -> None:
    endpoint = endpoint_of(url)
    assert (endpoint.base, endpoint.host, endpoint.port) == (base, host, port)


def test_a_query_goes_with_every_request() -> None:
    assert endpoint_of("https://h/v1/chat/completions?api-version=2&x=").query == (("api-version", "2"), ("x", ""))


def test_an_address_is_not_repeated_where_it_is_wrong() -> None:
    with pytest.raises(ModelFailed) as refusal:
        endpoint_of("ftp://host/?key=topsecret")
    assert "topsecret" not in refusal.value.message


def test_the_first_pattern_that_matches_host_or_host_and_port_decides() -> None:
    shapes = {"host:8000/qwen*": "vllm", "host/org/deep?eek": "prefix", "host/*": "prefill", "*": "never"}
    assert shape_of(shapes, "host", 8000, "qwen-7b") == "vllm"
    assert shape_of(shapes, "host", 443, "qwen-7b") == "prefill"
    assert shape_of(shapes, "host", 443, "org/deepseek") == "prefix"
    assert shape_of(shapes, "other", 443, "qwen-7b") == "never"
    assert shape_of({}, "host", 443, "qwen-7b") == "never"


@pytest.mark.parametrize(
    ("recorded", "chunks", "new"),
    [
        ("One two", ["One", " two", " three"], " three"),
        ("One two", ["One two three"], " three"),
        ("One two", ["One", " twelve"], "One twelve"),
        ("One two", [" three"], " three"),
        ("One two", ["One"], "One"),
        ("One two", ["One two"], ""),
        ("One two", ["One two", "One two"], "One two"),
        ("1.", ["1.", "5"], "1.5"),
        ("", ["One"], "One"),
    ],
)
def test_only_a_whole_repetition_is_dropped(recorded: str, chunks: list[str], new: str) -> None:
    unrepeated = Unrepeated(recorded)
    assert "".join([unrepeated.take(chunk) for chunk in chunks]) + unrepeated.rest() == new
    assert unrepeated.rest() == ""
