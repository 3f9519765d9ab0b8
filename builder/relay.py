"""A relay from the engine's bridge to a server of this machine: a build step cannot reach the loopback interface."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from builder.errors import EngineError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"redis": 6379, "http": 80}
_PIECE = 65536


def on_loopback(address: str) -> bool:
    """Whether a server's address is one that stands for this machine, on this machine only."""
    return urlsplit(address.partition("|")[0]).hostname in _LOOPBACK


@contextmanager
def relayed(address: str, gateway: Callable[[], str]) -> Iterator[str]:
    """The address by which a build step reaches a server, while the block runs.

    Args:
        address: As the user gave it (`redis://localhost:6379`); one that is not on the loopback is left as it is, and
            so is any where the bridge is none of this machine's (a rootless engine, one in a virtual machine).
        gateway: Gives the address of this machine on the engine's bridge.
    """
    if not on_loopback(address):
        yield address
        return
    url = urlsplit(address.partition("|")[0])
    target = (url.hostname, url.port or _PORTS.get(url.scheme, 80))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection(target) as server:
                back = threading.Thread(target=_copy, args=(server, self.request), daemon=True)
                back.start()
                _copy(self.request, server)
                back.join()

    try:
        host = gateway()
        server = _Server((host, 0), Handler)
    except (OSError, EngineError):
        server = None
    if server is None:
        yield address
        return
    with server as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        try:
            netloc = f"{url.netloc.rpartition('@')[0]}@" if "@" in url.netloc else ""
            there = url._replace(netloc=f"{netloc}{host}:{relay.server_address[1]}").geturl()
            yield there + address[len(address.partition("|")[0]) :]
        finally:
            relay.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is the compiler cache's own affair."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes, and then that nothing more comes."""
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
