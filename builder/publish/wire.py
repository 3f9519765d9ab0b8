"""Connections that nobody holds up: what comes has limits in time and in bytes, what goes has the time that it needs.

A socket's timeout is for one call: who says a byte now and then would be waited for without end. So the limits are kept
where the bytes come in, below everything that reads lines, chunks and trailers.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from functools import partial
from pathlib import Path
from typing import Any

import requests.utils
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from builder.errors import InputError

LARGEST_ANSWER = 8 << 20
"""Bytes of an answer that is read as a whole. The largest are manifests, of 4 MiB at most, and lists of GitHub's."""
LEAST_RATE = 1000
"""Bytes in a second that a blob or a file comes and goes with at least: a modem is faster. It is looked at once in the
time that silence is borne for (60 s): a server that pauses, and goes on as fast as it was, is not given up."""
_FRAMING = 1 << 20


class TooSlow(Exception):
    """Somebody takes too long."""


class TooLarge(Exception):
    """More comes than was to come."""


class Pace:
    """Sees how fast bytes come, or go: all have to be there within some seconds of the first, but for `allow`.

    Args:
        seconds: The time for all of them; with `allow` the time over which the rate is looked at.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._whole = True
        self._since: float | None = None
        self._moved = 0
        self._left = _most(LARGEST_ANSWER)

    def allow(self, size: int) -> None:
        """Let a body of so many bytes follow, which takes its time, as long as it keeps to `LEAST_RATE`."""
        self._whole, self._since, self._moved, self._left = False, None, 0, _most(size)

    def moved(self, size: int) -> None:
        """So many bytes more have come or gone; 0 at the end.

        Raises:
            TooSlow, TooLarge: It is to stop.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        self._moved += size
        self._left -= size
        passed = now - self._since
        if self._left < 0:
            raise TooLarge("what it sends has no end")
        if not size or passed < self._seconds:
            return
        if self._whole:
            raise TooSlow(f"no whole answer in {self._seconds:g} s")
        if self._moved < LEAST_RATE * passed:
            raise TooSlow(f"too slow: {self._moved} bytes in {passed:.0f} s")
        self._since, self._moved = now, 0


def _most(size: int) -> int:
    """The bytes that a body may have on the way: a head and chunks come to it, but not if each has one byte."""
    return 2 * size + _FRAMING


class _Incoming(io.RawIOBase):
    """A socket's bytes, each seen by a pace."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        self._raw = raw
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = self._raw.readinto(buffer) or 0
        self._pace.moved(size)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class Reply(http.client.HTTPResponse):
    """An answer; `pace` has seen its head, and sees its body."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.pace = Pace(sock.gettimeout() or 0)
        self.fp = io.BufferedReader(_Incoming(self.fp.detach(), self.pace))


def allow(response: requests.Response, size: int) -> None:
    """Let an answer whose head is there have a large body; see `Pace.allow`."""
    reply = response.raw._original_response
    if isinstance(reply, Reply):  # of a proxy by SOCKS it is none
        reply.pace.allow(size)


class _Plain(HTTPConnection):
    """What is sent gets `sending` seconds for each piece: urllib3 would give it those for connecting."""

    response_class = Reply

    def __init__(self, *args: Any, sending: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sending = sending

    def putrequest(self, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self._sending)
        super().putrequest(*args, **options)


class _Secure(_Plain, HTTPSConnection):
    """The same with TLS."""


class Adapter(HTTPAdapter):
    """Such connections, which trust what a context trusts.

    Args:
        sending: Seconds for each piece that is sent.
    """

    def __init__(self, context: ssl.SSLContext, *, sending: float) -> None:
        self._context = context
        self._kinds: dict[Any, Any] = {
            HTTPConnection: partial(_Plain, sending=sending),
            HTTPSConnection: partial(_Secure, sending=sending),
        }
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **{**options, "ssl_context": self._context})

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave it to the context: requests would have each connection read all certificates anew."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**options, "ssl_context": self._context})

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """The pool for a request, whose connections are of the kinds above."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = self._kinds.get(pool.ConnectionCls, pool.ConnectionCls)
        return pool


def trust(ca: Path | None) -> ssl.SSLContext:
    """A context that trusts the system's certificates and those of a file.

    Raises:
        InputError: The file cannot be read.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    named = os.environ.get("REQUESTS_CA_BUNDLE")
    for file in (ca, Path(named) if named else None):
        if file is None:
            continue
        try:
            context.load_verify_locations(file)
        except OSError as error:  # ssl.SSLError is one
            raise InputError(
                f"no certificate can be read of it: {error.strerror or error}",
                where=file,
                hint="give the CA's certificate in PEM (-----BEGIN CERTIFICATE-----)",
            ) from error
    return context
