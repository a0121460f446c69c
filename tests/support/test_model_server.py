"""The model server itself, asked with the official client: what is scripted must be what is said."""

import subprocess
import sys

import openai
import pytest

from tests.support.model_server import ModelServer, model

QUESTION = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def server():
    with ModelServer() as server:
        yield server


@pytest.fixture
def client(server: ModelServer):
    with openai.OpenAI(base_url=server.base, api_key="any", max_retries=0, timeout=10) as client:
        yield client


def test_it_answers_whole_where_no_stream_is_asked_for(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=model("say", text="hello there"), messages=QUESTION)
    assert answer.choices[0].message.content == "hello there"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 2)


def test_it_streams_with_usage_only_where_that_is_asked_for(client: openai.OpenAI) -> None:
    for options, last in (({"include_usage": True}, 2), ({}, None)):
        stream = client.chat.completions.create(model=model("say", text="a b"), messages=QUESTION, stream=True, stream_options=options)
        chunks = list(stream)
        assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "a b"
        assert (chunks[-1].usage.completion_tokens if chunks[-1].usage else None) == last


def test_it_lists_its_kinds_and_knows_no_other_paths(client: openai.OpenAI) -> None:
    assert "say" in {one.id for one in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        client.files.list()


def test_the_last_user_message_may_be_the_script(client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": model("say", text="as you wish")}]
    answer = client.chat.completions.create(model="ask", messages=asked)
    assert answer.choices[0].message.content == "as you wish"


def test_a_gate_may_be_opened_from_outside(server: ModelServer, client: openai.OpenAI) -> None:
    client.post("/release?key=gate&n=2", cast_to=object)
    answer = client.chat.completions.create(model=model("say", text="a b", hold=1, key="gate"), messages=QUESTION)
    assert answer.choices[0].message.content == "a b"
    assert server.wait_calls(1, "gate")[0].body["messages"] == QUESTION


def test_it_runs_alone() -> None:
    with subprocess.Popen([sys.executable, "-m", "tests.support.model_server"], stdout=subprocess.PIPE, text=True) as alone:
        try:
            assert alone.stdout is not None
            base = alone.stdout.readline().strip()
            with openai.OpenAI(base_url=base, api_key="any", max_retries=0, timeout=10) as client:
                assert client.chat.completions.create(model="anything", messages=QUESTION).choices[0].message.content
        finally:
            alone.terminate()
