"""Getting a repository from a forge: `git` as a process of ours, without a shell, bounded in time and size.

In comes an address and a credential; out goes a folder with the newest commit of the default branch. The credential
travels in the environment of the one process and is never written anywhere. Addresses that are not public are refused
unless a setting names their network; the checked address is the one that is used, and redirections are not followed.
"""

import asyncio
import base64
import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.kit.outside.egress import Egress, EgressRefused
from services.kit.retrieval.port import RetrievalFailed

_USERS = {"gitlab": "oauth2", "bitbucket": "x-token-auth"}
_API_TOKEN = ("ATATT", "x-bitbucket-api-token-auth")
_LOOK_S = 0.25
_SAID = 200
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")
_KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "GIT_SSL_CAINFO", *_PROXIES)
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]+")
"""Hosts that git names as we do, so that the address that was checked is the one that is used."""
_READ_IN_TWO_WAYS = ("\\", " ")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository at an address without credentials."""

    url: str
    kind: str = ""
    token: str = field(default="", repr=False)


class Git:
    """`networks` may be cloned from although they are not public; `seconds` and `max_bytes` bound one clone."""

    def __init__(self, networks: Sequence[str], seconds: float, max_bytes: int) -> None:
        self._egress = Egress(networks)
        self._seconds = seconds
        self._max_bytes = max_bytes

    async def newest(self, remote: Remote) -> str:
        """The newest commit of the default branch; this also shows that the credential may read. Raises `RetrievalFailed`."""
        said = await self._git(remote, "ls-remote", "--", remote.url, "HEAD")
        commit = said.split()[0] if said.split() else ""
        if _COMMIT.fullmatch(commit) is None:
            raise RetrievalFailed("the repository has no commit yet")
        return commit

    async def clone(self, remote: Remote, folder: Path) -> None:
        """The newest commit into an empty folder. Raises `RetrievalFailed`."""
        options = ("--depth=1", "--single-branch", "--no-tags", "--quiet", "--template=")
        await self._git(remote, "clone", *options, "--", remote.url, str(folder), watched=folder)

    async def _git(self, remote: Remote, *arguments: str, watched: Path | None = None) -> str:
        git = shutil.which("git")
        if git is None:
            raise RetrievalFailed("git is not installed here, so that only local folders can be read")
        environment = self._environment(remote, await self._checked(remote.url))
        process = await asyncio.create_subprocess_exec(
            git,
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._seconds):
                said = asyncio.create_task(process.communicate())
                while not (await asyncio.wait({said}, timeout=_LOOK_S))[0]:
                    if watched is not None and await asyncio.to_thread(_size, watched) > self._max_bytes:
                        raise RetrievalFailed(f"the repository is larger than {self._max_bytes // 1_048_576} MiB")
                out, wrong = said.result()
        except TimeoutError:
            raise RetrievalFailed(f"git did not end within {self._seconds:g} s", temporary=True) from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise RetrievalFailed(_reason(wrong.decode(errors="replace"), remote.token), temporary=True)
        return out.decode(errors="replace")

    async def _checked(self, url: str) -> str:
        """`host:port:address,…` of an address that may be cloned from. Raises `RetrievalFailed`."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
        except (ValueError, KeyError):
            host, port = "", 0
        if not _HOST.fullmatch(host) or not url.isprintable() or any(sign in url for sign in _READ_IN_TWO_WAYS):
            raise RetrievalFailed("repo_url: expected https://host/owner/repository, http://… or a folder")
        try:
            addresses = await self._egress.addresses(host, port)
        except OSError:
            raise RetrievalFailed("the host of repo_url is not known", temporary=True) from None
        except EgressRefused:
            raise RetrievalFailed("repo_url: its host is in a network from which nothing is cloned here (setting wiki_networks)") from None
        written = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
        return f"{host}:{port}:{written}"

    def _environment(self, remote: Remote, resolved: str) -> dict[str, str]:
        settings = {"http.followRedirects": "false", "http.curloptResolve": resolved, "core.symlinks": "false", "credential.helper": ""}
        if remote.token:
            user = _USERS.get(remote.kind, "x-access-token")
            if remote.kind == "bitbucket" and remote.token.startswith(_API_TOKEN[0]):
                user = _API_TOKEN[1]
            pair = base64.b64encode(f"{user}:{remote.token}".encode()).decode()
            settings["http.extraHeader"] = f"Authorization: Basic {pair}"
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        numbered = {f"GIT_CONFIG_KEY_{n}": name for n, name in enumerate(settings)}
        numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(settings.values())}
        return {
            **kept,
            **numbered,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_ALLOW_PROTOCOL": "http:https",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "LC_ALL": "C",
        }


def _size(folder: Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(at, name).lstat().st_size
            except OSError:
                continue
    return total


def _reason(wrong: str, token: str) -> str:
    """What git says, as one sentence without credentials and addresses."""
    text = wrong.replace(token, "…") if token else wrong
    for mark, reason in (
        ("Authentication failed", "the repository does not exist, or the token may not read it"),
        ("could not read Username", "the repository does not exist, or it needs a token"),
        ("terminal prompts disabled", "the repository does not exist, or it needs a token"),
        ("not found", "the repository does not exist, or it needs a token"),
        ("unable to update url base from redirection", "the address of the repository has moved; give the new one"),
    ):
        if mark in text:
            return reason
    fatal = next((line.removeprefix("fatal: ") for line in text.splitlines() if line.startswith("fatal: ")), "it gave no reason")
    return "git failed: " + re.sub(r"https?://\S+", "the address", fatal)[:_SAID]
