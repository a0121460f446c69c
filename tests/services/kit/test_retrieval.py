"""Retrieval from folders and forges: what is read, how it is cut and found, and what is never touched."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.kit.retrieval.bm25 import MAX_CHARACTERS, Index
from services.kit.retrieval.chunks import OVERLAP, WORDS, passages
from services.kit.retrieval.filters import Chooser, lines
from services.kit.retrieval.git import Git, Remote
from services.kit.retrieval.port import NOTHING, Filters, Passage, RetrievalFailed, Search
from services.kit.retrieval.reading import TEXT_CHARACTERS, one_file, read
from services.kit.retrieval.retrieval import Retrieval, without_credentials
from services.kit.settings import LOOPBACK, Settings
from tests.support.git_server import TOKEN, GitServer

MB = 1_048_576


def write(folder: Path, **files: str | bytes) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def retrieval(root: Path | None, **settings: Any) -> Retrieval:
    return Retrieval(Settings(wiki_root=root, wiki_networks=LOOPBACK, **settings))


# which files


def test_lists_are_lines_percent_decoded_and_blank_lines_do_not_count():
    assert lines("src\n\na%20b\n  \n keep me ") == ("src", "a b", " keep me ")
    assert lines(None) == ()


@pytest.mark.parametrize(
    ("filters", "path", "answer"),
    [
        (Filters(), "src/a.py", True),
        (Filters(), "src/a.bin", False),
        (Filters(), "package-lock.json", False),
        (Filters(), "app.min.js", False),
        (Filters(excluded_files=("*.md",)), "README.md", False),
        (Filters(excluded_files=("README.md",)), "docs/README.md", False),
        (Filters(included_dirs=("src",)), "src/deep/a.py", True),
        (Filters(included_dirs=("./src/deep/",)), "src/deep/a.py", True),
        (Filters(included_dirs=("src",)), "other/a.py", False),
        (Filters(included_files=("a.py",)), "other/a.py", True),
        (Filters(included_files=(".md",)), "README.md", True),
        (Filters(included_files=(".md",)), "a.py", False),
    ],
)
def test_files_are_chosen_by_name_ending_and_pattern(filters: Filters, path: str, answer: bool):
    assert Chooser(filters).reads(path) is answer


@pytest.mark.parametrize(
    ("filters", "folder", "answer"),
    [
        (Filters(), "src", True),
        (Filters(), "docs", True),
        (Filters(), ".git", False),
        (Filters(), "web/node_modules", False),
        (Filters(excluded_dirs=("old", "x/y")), "a/old", False),
        (Filters(excluded_dirs=("old", "x/y")), "x/y", False),
        (Filters(excluded_dirs=("old", "x/y")), "y", True),
        (Filters(included_dirs=("build",)), "build", True),
    ],
)
def test_folders_are_walked_or_not(filters: Filters, folder: str, answer: bool):
    assert Chooser(filters).walks(folder) is answer


# reading


def test_a_folder_is_read_with_its_texts_only(tmp_path: Path):
    outside = write(tmp_path / "outside", secret_dot_md="zanzibar")
    folder = write(
        tmp_path / "tmp" / "repo",
        README_dot_md="# Tea",
        src__a_dot_py="a = 1",
        nul_dot_txt=b"a\0b",
        latin_dot_txt=b"\xff\xfe\xe4",
        _dot_env_dot_txt="key",
    )
    write(folder, large_dot_md="x " * TEXT_CHARACTERS)
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "linked").symlink_to(outside)
    found = read(folder, Filters(), MB)
    assert found.files == {"README.md": "# Tea", "src/a.py": "a = 1"}
    assert found.skipped == 4
    again = read(folder, Filters(), MB).revision
    write(folder, src__a_dot_py="a = 2")
    assert found.revision == again != read(folder, Filters(), MB).revision


def test_more_text_than_the_bound_is_refused_with_a_way_out(tmp_path: Path):
    folder = write(tmp_path, a_dot_py="x" * 200, b_dot_py="y" * 200)
    with pytest.raises(RetrievalFailed, match="included_dirs"):
        read(folder, Filters(), 300)


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.md",
        "/etc/passwd",
        "link.md",
        "linked/secret.md",
        "no.md",
        "",
        ".git/config",
        "a\0b",
        "src/../../outside/secret.md",
    ],
)
def test_a_wanted_file_never_leads_out_of_the_folder(tmp_path: Path, path: str):
    outside = write(tmp_path / "outside", secret_dot_md="zanzibar")
    folder = write(tmp_path / "repo", README_dot_md="# Tea", Dockerfile="FROM scratch", _dot_git__config="[core]")
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "linked").symlink_to(outside)
    assert one_file(folder, path)[0] is None
    assert one_file(folder, "./Dockerfile") == ("FROM scratch", "")


# cutting and finding


def test_passages_overlap_and_know_their_lines():
    text = "\n".join(f"w{number}" for number in range(1, 701))
    cut = list(passages("a.md", text))
    assert [(one.first, one.last) for one in cut] == [
        (1, WORDS),
        (WORDS - OVERLAP + 1, 2 * WORDS - OVERLAP),
        (2 * (WORDS - OVERLAP) + 1, 700),
    ]
    assert all(one.text == "\n".join(text.split("\n")[one.first - 1 : one.last]) for one in cut)


def test_indentation_stays_and_nothing_is_cut_from_an_empty_file():
    (one,) = passages("a.py", "\n\n    return 1\n")
    assert (one.text, one.first, one.last) == ("    return 1", 3, 3)
    assert list(passages("a.py", " \n")) == []


def found_by(query: str, **texts: str) -> str:
    index = Index([Passage(name, 1, 1, text) for name, text in texts.items()])
    return index.best(query, 1)[0].path


@pytest.mark.parametrize(
    ("query", "best"),
    [("Which secret word?", "a"), ("read the rows", "b"), ("readRows", "b"), ("茶道", "c"), ("brew", "brew_py"), ("nothing of it", "a")],
)
def test_a_passage_is_found_by_words_parts_of_names_signs_and_its_path(query: str, best: str):
    texts = {"a": "the secret word is zanzibar", "b": "def readRows(): pass", "c": "这是茶道的介绍", "brew_py": "x = 1"}
    assert found_by(query, **texts) == best


def test_a_search_has_a_bound_and_gives_at_least_one():
    index = Index([Passage(str(n), 1, 1, "tea " * (MAX_CHARACTERS // 8)) for n in range(4)])
    assert len(index.best("tea", 20)) == 2
    assert len(Index([Passage("a", 1, 1, "tea " * MAX_CHARACTERS)]).best("tea", 20)) == 1


# folders


async def test_a_folder_below_the_root_is_searched(tmp_path: Path):
    write(tmp_path / "repo", README_dot_md="The secret word is zanzibar.", src__a_dot_py="a = 1")
    for source in (str(tmp_path / "repo"), "repo", f"file://{tmp_path / 'repo'}"):
        found = await retrieval(tmp_path).find(Search(source, "secret word", 20, file="src/a.py"))
        assert (found.passages[0].path, found.files, found.file) == ("README.md", 2, "a = 1")


@pytest.mark.parametrize("source", ["/", "..", "root/../..", "/etc", "\0", "link"])
async def test_a_folder_elsewhere_is_refused_whether_it_is_there_or_not(tmp_path: Path, source: str):
    root = write(tmp_path / "root", a_dot_md="a")
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(RetrievalFailed, match="repo_url"):
        await retrieval(root).find(Search(source, "q", 20))


async def test_without_a_root_no_folder_is_read(tmp_path: Path):
    with pytest.raises(RetrievalFailed, match="--wiki-root"):
        await retrieval(None).find(Search(str(tmp_path), "q", 20))


async def test_a_folder_without_texts_is_told_in_the_documents_words(tmp_path: Path):
    with pytest.raises(RetrievalFailed) as failure:
        await retrieval(tmp_path).find(Search(str(tmp_path), "q", 20))
    assert failure.value.message == NOTHING


async def test_no_passages_are_looked_up_where_none_are_wanted(tmp_path: Path):
    write(tmp_path, a_dot_md="a")
    found = await retrieval(tmp_path).find(Search(str(tmp_path), "a", 0))
    assert (found.passages, found.files) == ((), 1)


# forges


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "forge") as server:
        yield server


async def test_a_repository_is_cloned_once_a_commit(forge: GitServer):
    commit = forge.commit("open/tea", {"README.md": "The secret word is zanzibar.", "Dockerfile": "FROM scratch"})
    one, url = retrieval(None), forge.url("open/tea")
    first = await one.find(Search(url, "secret", 20))
    assert (first.source, first.revision, first.passages[0].path) == (url, commit, "README.md")
    before = len(forge.asked)
    assert await one.find(Search(url, "secret", 20)) == first
    asked_again = len(forge.asked) - before
    assert asked_again < before
    assert (await one.find(Search(url, "x", 20, file="Dockerfile"))).file == "FROM scratch"
    newer = forge.commit("open/tea", {"README.md": "It is now pemba."})
    second = await one.find(Search(url, "secret", 20))
    assert (second.revision, second.passages[0].text) == (newer, "It is now pemba.")


async def test_a_private_repository_needs_its_token_each_time(forge: GitServer):
    forge.commit("private/tea", {"README.md": "zanzibar"})
    one, url = retrieval(None), forge.url("private/tea")
    assert (await one.find(Search(url, "x", 20, token=TOKEN, kind="gitlab"))).files == 1
    assert f"oauth2:{TOKEN}" in {credential for _, credential in forge.asked}
    for token in ("", "wrong-token-123"):
        with pytest.raises(RetrievalFailed, match="token") as failure:
            await one.find(Search(url, "x", 20, token=token))
        assert "wrong-token" not in failure.value.message


async def test_redirections_are_not_followed(forge: GitServer):
    forge.commit("open/tea", {"README.md": "zanzibar"})
    with pytest.raises(RetrievalFailed):
        await retrieval(None).find(Search(forge.url("moved/tea"), "x", 20))
    assert not any(path.startswith("/open") for path, _ in forge.asked)


async def test_a_repository_that_is_too_large_or_missing_is_refused(forge: GitServer):
    forge.commit("open/big", {f"{n}.txt": f"{n} " * 10_000 for n in range(60)})
    with pytest.raises(RetrievalFailed, match="larger"):
        await retrieval(None, wiki_max_mb=1).find(Search(forge.url("open/big"), "x", 20))
    with pytest.raises(RetrievalFailed, match="does not exist"):
        await retrieval(None).find(Search(forge.url("open/none"), "x", 20))


async def test_git_is_ended_when_it_takes_too_long(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = Remote(f"http://127.0.0.1:{silent.getsockname()[1]}/a/b")
        with pytest.raises(RetrievalFailed, match=r"git did not end within 0\.3 s") as failure:
            await Git(LOOPBACK, 0.3, MB).clone(remote, tmp_path / "there")
        accepted, _ = silent.accept()
        with accepted:
            accepted.settimeout(10)
            while accepted.recv(65536):
                pass  # the connection ends: the process is gone
    assert failure.value.temporary


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a/b", "http://[::1]:9/a/b", "http://10.1.2.3/a", "https://169.254.169.254/latest"])
async def test_networks_that_are_not_public_are_refused_unless_named(url: str):
    with pytest.raises(RetrievalFailed, match="wiki_networks"):
        await Retrieval(Settings(wiki_networks=())).find(Search(url, "x", 20))


@pytest.mark.parametrize("url", ["http://", "https://:80/x", "http://host:port/x"])
async def test_what_is_no_address_is_told(url: str):
    with pytest.raises(RetrievalFailed, match="repo_url"):
        await retrieval(None).find(Search(url, "x", 20))


@pytest.mark.parametrize(
    ("url", "plain", "token"),
    [
        ("https://example.org/a/b", "https://example.org/a/b", ""),
        ("https://tok%40n@example.org/a/b", "https://example.org/a/b", "tok@n"),
        ("https://oauth2:tok@example.org:8443/a/b?x=1", "https://example.org:8443/a/b?x=1", "tok"),
    ],
)
def test_credentials_inside_an_address_are_taken_out(url: str, plain: str, token: str):
    assert without_credentials(url) == (plain, token)
