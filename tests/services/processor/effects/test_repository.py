"""Looking up a repository: evidence, outputs, and failures as sentences."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.core.running.effects import Done, RepositoryRequest, Retrieved
from services.kit.retrieval.retrieval import Retrieval
from tests.support.fixtures.effects import PlainSecrets, effect_settings, effect_world, outcomes_of

REFERENCE = "secret:" + "0" * 32


def request(source: str, **changes: Any) -> RepositoryRequest:
    fields: dict[str, Any] = {
        "app": "demo",
        "source": source,
        "token": "",
        "kind": "local",
        "query": "secret word",
        "file": "",
        "filters": {},
        "passages": 20,
        "provider": "openai",
        "model": "offline-demo",
        "quiet_ms": 10_000,
    }
    return RepositoryRequest(**{**fields, **changes})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "README.md").write_text("# Tea\nThe secret word is zanzibar.\n")
    (folder / "old.md").write_text("# Old\n")
    return folder


async def perform(asked: RepositoryRequest, root: Path) -> list[Any]:
    world = effect_world(effect_settings(wiki_root=root))
    try:
        return (await outcomes_of(asked, world)).all
    finally:
        await world.models.aclose()


async def test_passages_are_outputs_and_the_evidence_only_says_where_they_stand(repository: Path, tmp_path: Path):
    evidence, done = await perform(request("repo", filters={"excluded_files": ("old.md",)}, file="README.md"), tmp_path)
    assert isinstance(evidence, Retrieved)
    assert (evidence.source, evidence.files, evidence.passages) == (str(repository), 1, (("README.md", 1, 2),))
    assert "zanzibar" not in repr(evidence)
    text = "# Tea\nThe secret word is zanzibar."
    file = {"path": "README.md", "content": text + "\n", "problem": ""}
    assert done == Done(outputs={"passages": [{"path": "README.md", "first": 1, "last": 2, "text": text}], "file": file})


async def test_the_same_repository_gives_the_same_evidence(repository: Path, tmp_path: Path):
    one, two = [(await perform(request(str(repository)), tmp_path))[0] for _ in range(2)]
    assert (one.revision, one.digest) == (two.revision, two.digest)


async def test_a_file_that_is_not_there_is_told_and_not_fatal(repository: Path, tmp_path: Path):
    *_, done = await perform(request(str(repository), file="none.md"), tmp_path)
    assert done.outputs["file"] == {"path": "none.md", "content": "", "problem": "there is no such file"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "/"}, "not below"),
        ({"source": "none"}, "no such folder"),
        ({"provider": "google", "model": "m"}, "set GOOGLE_API_KEY"),
        ({"token": REFERENCE}, "the token of the repository is not known"),
    ],
)
async def test_what_is_missing_is_said(repository: Path, tmp_path: Path, changes: dict[str, Any], said: str):
    (broke,) = await perform(request(**{"source": str(repository), **changes}), tmp_path)
    assert broke.problem.code == 20500
    assert said in broke.problem.message


async def test_a_search_that_takes_too_long_ends(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def never(*_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Retrieval, "find", never)
    (broke,) = await perform(request(str(repository), quiet_ms=20), tmp_path)
    assert (broke.problem.message, broke.temporary) == ("the repository was not read within 0.02 s", True)


async def test_a_token_is_resolved_for_the_caller_only(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    find = Retrieval.find

    async def watched(self: Retrieval, search: Any) -> Any:
        seen.append(search.token)
        return await find(self, search)

    monkeypatch.setattr(Retrieval, "find", watched)
    monkeypatch.setattr(PlainSecrets, "resolve", resolve)
    await perform(request(str(repository), token=REFERENCE), tmp_path)
    assert seen == ["demo's token"]


async def resolve(_: PlainSecrets, app: str, reference: str) -> str:
    assert reference == REFERENCE
    return f"{app}'s token"
