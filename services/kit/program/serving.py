"""Serving HTTP inside one of our programs: a bound socket, and uvicorn without its own signal handling.

In comes an ASGI application and a stop event; it serves until the event is set, then lets open answers end for a
bounded time. Signals belong to the program (`services.kit.program.frame`), a taken port is a sentence.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from services.kit.errors import Refused
from services.kit.program.bounded_http import BoundedHttp

DRAIN_S = 10
FRAME_BYTES = 8 * 1024 * 1024


def listen(host: str, port: int, name: str = "--port") -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises `Refused` where the address cannot be had; `name` is the option to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        raise Refused(f"the host {host} is not an address of this machine; give another with --host.") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
    except OSError as wrong:
        bound.close()
        raise Refused(f"{_why(host, port, wrong)}; give another with {name}.") from None
    bound.setblocking(False)
    return bound


async def serve(
    app: ASGIApp,
    bound: socket.socket,
    stop: asyncio.Event,
    drain_s: int = DRAIN_S,
    frame_bytes: int = FRAME_BYTES,
    keep_alive_s: float = 60.0,
) -> None:
    """Serve until `stop` is set, then drain for at most `drain_s` seconds; closes the socket.

    The caller is whoever is connected: what proxies say of others (`X-Forwarded-For`) is nobody's address here. A
    connection that sends no request for `keep_alive_s` is closed.

    A WebSocket's frame over `frame_bytes` closes it with 1009; one whose other end is gone is noticed within 40 s.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        proxy_headers=False,
        timeout_graceful_shutdown=drain_s,
        timeout_keep_alive=round(keep_alive_s),
        http=BoundedHttp,
        ws="websockets-sansio",
        ws_max_size=frame_bytes,
    )
    server = _Server(config)

    async def ask_to_end() -> None:
        await stop.wait()
        server.should_exit = True

    asking = asyncio.create_task(ask_to_end())
    try:
        await server.serve(sockets=[bound])
    finally:
        asking.cancel()
        bound.close()


class _Server(uvicorn.Server):
    """Leaves signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _why(host: str, port: int, wrong: OSError) -> str:
    match wrong.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use"
        case errno.EACCES:
            return f"port {port} on {host} may not be used by this user"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine"
        case _:
            return f"port {port} on {host} cannot be had"
