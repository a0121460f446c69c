"""A forge for tests: real repositories over HTTP on 127.0.0.1, one of them behind a token. Git's own backend does the serving.

with GitServer(folder) as server:
    server.commit("owner/name", {"README.md": "# Tea"})
    url = server.url("owner/name")
"""

import base64
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

TOKEN = "forge-token-1234567890"
_NOBODY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "n",
    "GIT_AUTHOR_EMAIL": "n@example.org",
    "GIT_COMMITTER_NAME": "n",
    "GIT_COMMITTER_EMAIL": "n@example.org",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}


def git(*arguments: str, folder: Path, stdin: bytes = b"", **more: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, env={**_NOBODY, **more}, input=stdin, capture_output=True, check=True).stdout


class GitServer:
    """Repositories whose owner is `private` need `TOKEN`; `moved` is redirected. `asked` holds the paths and the credentials."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked: list[tuple[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
                pass

            def do_GET(self) -> None:
                owner.serve(self, b"")

            def do_POST(self) -> None:
                owner.serve(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def commit(self, name: str, files: dict[str, str]) -> str:
        """One more commit with these files; its id."""
        folder = self._folder / name
        if not folder.exists():
            folder.mkdir(parents=True)
            git("init", "-q", "-b", "main", folder=folder)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        git("add", "-A", folder=folder)
        git("commit", "-q", "-m", "c", folder=folder)
        return git("rev-parse", "HEAD", folder=folder).decode().strip()

    def serve(self, asked: BaseHTTPRequestHandler, body: bytes) -> None:
        path, _, query = asked.path.partition("?")
        pair = asked.headers.get("Authorization", "").removeprefix("Basic ")
        credential = base64.b64decode(pair).decode() if pair else ""
        self.asked.append((path, credential))
        if path.startswith("/private/") and credential.partition(":")[2] != TOKEN:
            self._plain(asked, 401, [("WWW-Authenticate", 'Basic realm="forge"')])
        elif path.startswith("/moved/"):
            self._plain(asked, 301, [("Location", asked.path.replace("/moved/", "/open/"))])
        else:
            self._backend(asked, path, query, body)

    def _backend(self, asked: BaseHTTPRequestHandler, path: str, query: str, body: bytes) -> None:
        said = git(
            "http-backend",
            folder=self._folder,
            stdin=body,
            GIT_PROJECT_ROOT=str(self._folder),
            GIT_HTTP_EXPORT_ALL="1",
            GIT_PROTOCOL=asked.headers.get("Git-Protocol", ""),
            PATH_INFO=path.replace("/git-upload-pack", "/.git/git-upload-pack").replace("/info/refs", "/.git/info/refs"),
            QUERY_STRING=query,
            REQUEST_METHOD=asked.command,
            CONTENT_TYPE=asked.headers.get("Content-Type", ""),
            CONTENT_LENGTH=str(len(body)),
            HTTP_CONTENT_ENCODING=asked.headers.get("Content-Encoding", ""),
        )
        head, _, content = said.partition(b"\r\n\r\n")
        lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
        status = next((int(value.split()[0]) for name, value in lines if name == "Status"), 200)
        self._plain(asked, status, [(name, value) for name, value in lines if name != "Status"], content)

    @staticmethod
    def _plain(asked: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes = b"") -> None:
        asked.send_response(status)
        for name, value in headers:
            asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content)
