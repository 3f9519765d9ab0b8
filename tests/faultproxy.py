"""A real HTTP proxy in front of a real server, which injects faults: one request a connection, on plain sockets."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Match = Callable[[str, str], bool]
"""Whether a request, by its method and its path, is meant."""

ALWAYS = 10**6
_PIECE = 1 << 14


@dataclass
class Fault:
    """What goes wrong.

    Attributes:
        kind: `refused` (the connection is reset), `slow`, `cut` (after `after` bytes of the body), `lost` (the request
            arrives, the answer does not), `dead` (as `cut`, but nobody says so), `garbage`, or a status.
        match: Which requests.
        times: How many of them.
    """

    kind: str
    match: Match = lambda method, path: True
    after: int = 0
    times: int = ALWAYS
    headers: str = ""


@dataclass
class Seen:
    """A request that went through: its body's bytes as far as they came."""

    method: str
    path: str
    size: int = 0


@dataclass
class FaultProxy:
    """The proxy while it runs; `faults` may be changed at any time."""

    upstream: tuple[str, int]
    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def sent(self, *methods: str) -> list[Seen]:
        """The requests of some methods."""
        return [each for each in self.seen if each.method in methods]

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(20)
            if self.server is not None:
                connection = self.server.wrap_socket(connection, server_side=True)
            self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(_PIECE)
            if not piece or (not data and piece[0] == 0x16):  # the end, or TLS where there is none
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers.get("content-length", "0"))
        seen = Seen(method, path)
        with self._lock:
            self.seen.append(seen)
            fault = next((each for each in self.faults if each.times > 0 and each.match(method, path)), None)
            if fault is not None:
                fault.times -= 1
        if fault is not None and self._answer(connection, fault):
            return
        kept = [line for line in lines if not line.lower().startswith("connection:")]
        self._forward(
            connection, "\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1"), body, length, seen, fault
        )

    def _answer(self, connection: socket.socket, fault: Fault) -> bool:
        """Answer in the server's place, if the fault is that."""
        if fault.kind == "refused":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True
        if fault.kind == "garbage":
            connection.sendall(b"\x16\x03\x01 no HTTP \xff\xfe\r\n\r\n<html>")
            return True
        if fault.kind.isdecimal():
            said = f"HTTP/1.1 {fault.kind} Fault\r\nConnection: close\r\nContent-Length: 0\r\n{fault.headers}\r\n"
            connection.sendall(said.encode())
            with suppress(OSError):  # what was being sent is taken, or the answer would be lost with the connection
                connection.settimeout(0.2)
                while connection.recv(_PIECE):
                    pass
            return True
        return False

    def _forward(
        self, connection: socket.socket, head: bytes, body: bytes, length: int, seen: Seen, fault: Fault | None
    ) -> None:
        kind = fault.kind if fault else ""
        if kind in ("cut", "dead") and not length:
            self._hold(kind)
            return
        with socket.create_connection(self.upstream, timeout=60) as plain:
            upstream = self.client.wrap_socket(plain, server_hostname="localhost") if self.client else plain
            upstream.sendall(head)
            while seen.size < length:
                piece = body or connection.recv(_PIECE)
                body = b""
                if not piece:
                    return
                if fault is not None and kind in ("cut", "dead") and seen.size + len(piece) > fault.after:
                    upstream.sendall(piece[: fault.after - seen.size])
                    self._hold(kind)
                    return
                if kind == "slow":
                    time.sleep(0.05)
                upstream.sendall(piece)
                seen.size += len(piece)
            while piece := upstream.recv(_PIECE):
                if kind == "lost":
                    continue
                connection.sendall(piece)

    def _hold(self, kind: str) -> None:
        if kind == "dead":
            self.ended.wait(15)


@contextmanager
def fault_proxy(
    upstream: str, *faults: Fault, server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None
) -> Iterator[FaultProxy]:
    """A proxy in front of `host:port`, on a free loopback port.

    Args:
        server: To speak TLS with clients.
        client: To speak TLS with the server.
    """
    host, _, port = upstream.rpartition(":")
    proxy = FaultProxy((host, int(port)), server=server, client=client, faults=list(faults))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.port = listener.getsockname()[1]
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
