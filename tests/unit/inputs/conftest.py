"""An HTTP server on a loopback port that fails as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import pytest

from builder.inputs.fetch import Patience


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. A 200 with `ranges` honours a Range header; `cut` breaks off the body after so many bytes."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = False
    cut: int | None = None
    stall: bool = False
    chunked: bool = False


class Server(ThreadingHTTPServer):
    """`replies` maps a path to its answers: one per request, the last one for all further ones."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: dict[str, list[Reply]] = {}
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.stopping = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def ranges(self) -> list[str | None]:
        """The Range header of each request so far."""
        return [headers.get("Range") for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast(Server, self.server)
        server.requests.append((self.path, dict(self.headers)))
        answers = server.replies.get(self.path) or [Reply(status=404)]
        reply = answers.pop(0) if len(answers) > 1 else answers[0]
        if reply.stall:
            server.stopping.wait(10)
            return
        self._answer(reply)
        self.close_connection = True

    def _answer(self, reply: Reply) -> None:
        status, body, headers = reply.status, reply.body, dict(reply.headers)
        wanted = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, headers.get("ETag"))
        if reply.ranges and wanted and unchanged:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                status, headers["Content-Range"], body = 416, f"bytes */{len(body)}", b""
            else:
                status, headers["Content-Range"] = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
                body = body[start:]
        self.send_response(status)
        if reply.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers.setdefault("Content-Length", str(len(body)))
        headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        sent = body[: reply.cut]
        if reply.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) + (b"0\r\n\r\n" if reply.cut is None else b""))
        else:
            self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stopping.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that `patience` was to wait, in order."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    """Three attempts, and no real waiting."""
    return Patience(attempts=3, connect_timeout=5, read_timeout=5, sleep=waits.append)
