"""A port of 127.0.0.1 in front of a server that listens on a socket of this machine only."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import sqlalchemy as sa


@contextlib.contextmanager
def on_a_port(url: sa.URL) -> Iterator[sa.URL]:
    """The database's address with a host and a port."""
    folder = url.host or str(url.query.get("host", ""))
    plain = sa.URL.create("postgresql", url.username, url.password, database=url.database)
    if folder and not folder.startswith("/"):
        yield plain.set(host=folder, port=url.port)
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(
            target=_accept, args=(listening, f"{folder}/.s.PGSQL.{url.port or url.query.get('port', 5432)}"), daemon=True
        )
        thread.start()
        yield plain.set(host="127.0.0.1", port=listening.getsockname()[1])


def _accept(listening: socket.socket, path: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(path)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    one.close()
