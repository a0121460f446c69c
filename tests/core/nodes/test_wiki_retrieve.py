"""`wiki-retrieve` in its run: what is asked of the effect, and what becomes of its answer."""

from services.core.running.effects import Done, RepositoryRequest, Retrieved
from tests.support.flows import Part, at, end, flow, message, retry, start
from tests.support.spec import Story, told


def document() -> dict:
    look_up = Part(
        "look",
        "wiki-retrieve",
        {"query": at("start.q"), "repository": at("start.repository"), "filters": at("start.filters"), "file": at("start.file")},
        {"passages": "array", "file": "object"},
        {"provider": "openai", "model": "m"},
        retry(timeout=300),
    )
    begin = start(q="string", repository="object", filters="object", file="string")
    return flow(begin, look_up, message("say", "{{p}}", p=at("look.passages")), end(), edges="start > look > say > end")


def asked(**parameters: object) -> RepositoryRequest:
    given = {"q": "what?", "repository": {"url": "https://example.org/a/b", "type": "gitlab", "token": "secret:x"}, **parameters}
    request = told(document(), **given).asked("look")
    assert isinstance(request, RepositoryRequest)
    return request


def test_it_asks_for_passages_of_the_repository():
    request = asked(filters={"excluded_dirs": ["old"]})
    assert (request.source, request.kind, request.token) == ("https://example.org/a/b", "gitlab", "secret:x")
    assert (request.query, request.passages, request.filters) == ("what?", 20, {"excluded_dirs": ("old",)})
    assert (request.provider, request.model, request.app) == ("openai", "m", "demo")


def test_a_file_steers_the_search_beside_the_question():
    assert asked(file="src/a.py").query == "src/a.py what?"


def test_a_question_of_more_than_8000_tokens_is_answered_without_passages():
    assert asked(q="word " * 6_400).passages == 20
    assert asked(q="word " * 6_401).passages == 0


def test_it_may_be_silent_as_long_as_its_settings_say():
    assert asked().quiet_ms == 300_000


def evidence() -> Retrieved:
    return Retrieved("https://example.org/a/b", "rev", 3, 1, (("a.md", 1, 9),), "digest", 12)


def finished() -> Story:
    run = told(document(), q="what?")
    return run.tell("look", evidence()).tell("look", Done(outputs={"passages": [{"path": "a.md"}], "file": {}}))


def test_the_evidence_names_places_and_the_outputs_hold_the_words():
    run = finished()
    (found,) = run.of("context.retrieved", "look")
    assert [(one.path, one.first, one.last) for one in found.passages] == [("a.md", 1, 9)]
    assert (found.source, found.revision, found.files, found.skipped, found.digest) == ("https://example.org/a/b", "rev", 3, 1, "digest")
    assert run.outputs("look") == {"passages": [{"path": "a.md"}], "file": {}}
    assert run.screen("say").content == '[{"path": "a.md"}]'
    assert run.over


def test_a_new_owner_looks_up_again():
    run = told(document(), q="what?").tell("look", evidence()).taken_over()
    assert run.of("node.started", "look")[-1].reason == "taken_over"
    assert run.asked("look") == told(document(), q="what?").asked("look")
    run.tell("look", Done(outputs={"passages": [], "file": {}}), attempt=1)
    assert not run.over
    run.tell("look", Done(outputs={"passages": [], "file": {}}), attempt=2)
    assert run.over


def test_a_failure_ends_the_run_in_this_node():
    run = told(document(), q="what?").fails("look", 20500, "there is no such folder")
    assert (run.last.code, run.last.message, run.last.node) == (20500, "there is no such folder", "wiki-retrieve::look")
