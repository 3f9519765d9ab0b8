"""Servers that take their time: the dead are given up, the slow are not, and nobody holds up the others."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from builder.inputs.fetch import Patience
from builder.publish import wire
from builder.publish.http import Body, Failure, Http
from builder.publish.targets.webdav import HttpTarget
from builder.publish.transfer import State
from builder.settings import Registry
from tests.publish.material import HURRY, Watch, big_blob, make_bundle, make_dist, send
from tests.publish.registries import Look, Tls
from tests.publish.test_files import release_of
from tests.publish.test_hostile import raw

pytestmark = pytest.mark.timeout(60)

ONCE = Patience(attempts=1, connect_timeout=0.5, read_timeout=1, sleep=lambda _: None)
Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk, *, tls: Tls | None = None, buffer: int | None = None) -> Iterator[str]:
    """`localhost:PORT` of a server that does as it is told with each connection, one after another.

    Args:
        buffer: Bytes that are taken of what nobody has read yet.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls is not None:
        context.load_cert_chain(tls.certificate, tls.key)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), connection:
                connection.settimeout(10)
                with context.wrap_socket(connection, server_side=True) if tls else connection as spoken:
                    talk(spoken)

    listener = socket.socket()
    if buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def dripping(head: bytes, piece: bytes, pause: float = 0.1) -> Talk:
    """Says a beginning at once, and then a little again and again until nobody listens."""

    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(head)
        while True:
            time.sleep(pause)
            connection.sendall(piece)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "status": dripping(b"HTTP", b"/"),
    "header": dripping(OK + b"X: ", b"x"),
    "body": dripping(OK + b"Content-Length: 8000000\r\n\r\n", b"x"),
    "chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "length": dripping(CHUNKED, b"0"),
    "trailer": dripping(CHUNKED + b"0\r\n", b"x: y\r\n"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_an_answer_that_never_gets_done(drip: str) -> None:
    with talking(DRIPS[drip]) as host, pytest.raises(Failure, match="no whole answer in 1 s") as caught:
        Http(patience=ONCE).request("GET", f"http://{host}/", expect=(200,))
    assert (caught.value.kind, caught.value.wait) == ("timeout", 0)


@pytest.mark.parametrize("drip", ["body", "chunks", "trailer"])
def test_a_file_that_never_gets_done(drip: str) -> None:
    with talking(DRIPS[drip]) as host, pytest.raises(Failure, match="too slow"):
        Http(patience=ONCE).body_sha256(f"http://{host}/", size=8_000_000, expect=(200,))


def test_a_file_that_comes_slowly_but_comes() -> None:
    """It takes longer than a small answer may."""
    data = bytes(8_000)

    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(OK + b"Content-Length: 8000\r\nConnection: close\r\n\r\n")
        for start in range(0, 8_000, 1000):
            time.sleep(0.3)
            connection.sendall(data[start : start + 1000])

    with talking(talk) as host:
        found = Http(patience=ONCE).body_sha256(f"http://{host}/", size=8_000, expect=(200,))
    assert found == hashlib.sha256(data).hexdigest()


def test_one_that_drips_does_not_hold_up_the_others(plain: Look, org: str, tmp_path: Path) -> None:
    with talking(DRIPS["body"]) as host:
        bundle = make_bundle(tmp_path, org)
        dripping_one = Registry(host=host, plain_http=True)
        outcomes = send(bundle, plain.host, dripping_one, patience=replace(HURRY, read_timeout=3))
    states = {each.target: each.state for each in outcomes}
    assert states == {plain.host: State.SENT, host: State.FAILED}
    assert all("no whole answer" in each.why for each in outcomes if each.target == host)


def test_answers_in_small_pieces() -> None:
    """Each of a byte: they are put together once, and what costs so much more than it brings is not read on."""
    body = b"1\r\nx\r\n" * 300_000

    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(CHUNKED + body + b"0\r\n\r\n")

    patient = replace(ONCE, read_timeout=30)
    with talking(talk) as host:
        assert len(Http(patience=patient).request("GET", f"http://{host}/", expect=(200,)).body) == 300_000
        with pytest.raises(Failure, match="no end"):
            Http(patience=patient).body_sha256(f"http://{host}/", size=300_000, expect=(200,))


def test_a_file_that_has_no_end(org: str, tmp_path: Path) -> None:
    release = release_of(make_dist(tmp_path / "dist", org))
    with raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n") as host:
        target = HttpTarget(f"http://{host}", Http(patience=replace(ONCE, read_timeout=30)))
        (outcome,) = target.publish([release], overwrite=False, dry_run=False, watch=Watch())
    assert outcome.state is State.REFUSED


@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_pauses_while_it_is_sent_something(secure: bool, tls: Tls, tmp_path: Path) -> None:
    """For longer than a connection may take to be made, and not for longer than an answer."""
    blob = big_blob(tmp_path, 12 << 20)
    taken: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        for _request in range(2):  # the second one on the same connection
            data = b""
            while b"\r\n\r\n" not in data and (piece := connection.recv(1)):
                data += piece
            time.sleep(1.5)
            digest, left = hashlib.sha256(), blob.size
            while left and (piece := connection.recv(1 << 20)):
                digest.update(piece)
                left -= len(piece)
            taken.append(digest.digest())
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    scheme = "https" if secure else "http"
    with talking(talk, tls=tls if secure else None, buffer=1 << 18) as host:
        http = Http(ca=tls.ca, patience=replace(ONCE, read_timeout=10))
        for _request in range(2):
            http.request("PUT", f"{scheme}://{host}/", expect=(201,), body=Body(blob))
    assert [each.hex() for each in taken] == [blob.digest.removeprefix("sha256:")] * 2


def test_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(wire, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def after(pace: wire.Pace, *steps: tuple[float, int]) -> None:
        for seconds, size in steps:
            now[0] += seconds
            pace.moved(size)

    after(wire.Pace(60), (50, 1), (59, 8 << 20), (1000, 0))  # from the first byte on; the end may come late
    with pytest.raises(wire.TooSlow):
        after(wire.Pace(60), (0, 1), (60, 1))
    with pytest.raises(wire.TooLarge):
        after(wire.Pace(60), (0, 20 << 20))
    body = wire.Pace(60)
    body.allow(100 << 20)
    after(body, (0, 1), (59, 59_999), (1, 1000), (60, 60_000), (59, 1), (1, 100_000))
    with pytest.raises(wire.TooSlow, match="59999 bytes in 60 s"):
        after(body, (60, 59_999))
    with pytest.raises(wire.TooLarge):
        after(body, (1, 202 << 20))
