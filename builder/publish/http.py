"""HTTP as every target needs it: TLS with a private CA, patience, bounded answers, bodies that stream from a file."""

from __future__ import annotations

import email.utils
import hashlib
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import requests.utils
import urllib3
from requests.structures import CaseInsensitiveDict

from builder import __version__
from builder.inputs.fetch import Patience
from builder.publish import wire
from builder.publish.content import Blob
from builder.view import clean

log = logging.getLogger(__name__)

PATIENCE = Patience(attempts=5, connect_timeout=10, read_timeout=60)
"""The 60 s are for silence, for each whole answer from its first byte on, and for looking at the rate of what is larger
(`wire.LEAST_RATE`): no request is waited for without end, and whoever is not dead has time."""
LONGEST_WAIT = 120.0
"""Seconds that are waited for a target, whatever it asks for: who asks for more gets no second attempt."""
_FIRST_WAIT = 0.5
_MOST_REDIRECTS = 5

Kind = Literal["refused", "timeout", "tls", "certificate", "broken", "answer"]
Progress = Callable[[int], None]
"""Called with the bytes that went, or (negative) that turned out not to have arrived."""

_Result = TypeVar("_Result")


class Failure(Exception):
    """A target did not do what it was asked.

    Attributes:
        kind: What sort of failure it is.
        wait: Seconds after which another attempt may do; None when it will not.
        status: The answer's status; 0 when there was none.
    """

    def __init__(self, what: str, *, kind: Kind = "answer", wait: float | None = None, status: int = 0) -> None:
        super().__init__(what)
        self.kind = kind
        self.wait = wait
        self.status = status

    def __str__(self) -> str:
        """For a terminal: much of it is what the other side said."""
        return clean(super().__str__())


class Stopped(Exception):
    """The user stopped the program."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: CaseInsensitiveDict[str] = field(hash=False)
    body: bytes
    url: str


class Body:
    """A part of a blob as the body of a request: it goes in pieces, and stops when the program does."""

    def __init__(
        self, blob: Blob, *, skip: int = 0, progress: Progress = lambda _: None, stop: threading.Event | None = None
    ) -> None:
        self.size = blob.size - skip
        self.sent = 0
        self._pieces = blob.open(skip)
        self._rest = b""
        self._progress = progress
        self._stop = stop
        self._pace: wire.Pace | None = None

    def keep_pace(self, seconds: float) -> None:
        """Give up when the other side takes less than `wire.LEAST_RATE`; `seconds` is how long it may pause."""
        self._pace = wire.Pace(seconds)
        self._pace.allow(self.size)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:  # requests takes what can be iterated as a stream
        while piece := self.read(1 << 16):
            yield piece

    def read(self, size: int = -1) -> bytes:
        """The next bytes, for the connection."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        if not self._rest:
            self._rest = next(self._pieces, b"")
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        if self._pace is not None:
            self._pace.moved(len(taken))
        self.sent += len(taken)
        self._progress(len(taken))
        return taken


class Http:
    """Requests to one target.

    Args:
        ca: File with the certificates of a private CA, trusted beside the system's.
        patience: How long to wait, and how often to try.
        stop: Set when the program is to end.

    Raises:
        InputError: The certificates cannot be read.
    """

    def __init__(
        self, *, ca: Path | None = None, patience: Patience = PATIENCE, stop: threading.Event | None = None
    ) -> None:
        self.patience = patience
        self.stop = stop or threading.Event()
        self._session = _Session()
        self._session.headers.update({"User-Agent": f"rosk/{__version__}", "Accept-Encoding": "identity"})
        # The environment's proxies are taken below, and nothing of ~/.netrc, which is not meant for registries.
        self._session.trust_env = False
        self._session.max_redirects = _MOST_REDIRECTS
        adapter = wire.Adapter(wire.trust(ca), sending=patience.read_timeout)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def request(
        self,
        method: str,
        url: str,
        *,
        expect: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """One request and its whole answer.

        Args:
            seconds: How long it may take to answer, and then to have answered, when that is less than patience has.

        Raises:
            Failure: Any other answer than those expected, or none.
        """
        sent = self.opened(method, url, expect=expect, headers=headers, body=body, seconds=seconds)
        with sent as response, answers(self.patience.read_timeout):
            content = bytearray()
            for piece in response.raw.stream(1 << 16, decode_content=True):
                content += piece
                if len(content) > wire.LARGEST_ANSWER:
                    raise Failure(f"answers with more than {wire.LARGEST_ANSWER} bytes")
        return Answer(status=response.status_code, headers=response.headers, body=bytes(content), url=response.url)

    def body_sha256(
        self, url: str, *, size: int, expect: tuple[int, ...], headers: Mapping[str, str] | None = None
    ) -> str | None:
        """The SHA-256 (hex) of what an address has, read back with patience; None where it answers but with 200.

        Args:
            size: Bytes that it should have. More than these, and one piece, are not read: then it is another anyway.

        Raises:
            Failure: Any other answer than those expected, or none.
        """

        def attempt() -> str | None:
            with (
                self.opened("GET", url, expect=expect, headers=headers, size=size) as response,
                answers(self.patience.read_timeout),
            ):
                if response.status_code != 200:
                    return None
                found, left = hashlib.sha256(), size
                for piece in response.raw.stream(1 << 18, decode_content=True):
                    found.update(piece)
                    left -= len(piece)
                    if left < 0:
                        break
                return found.hexdigest()

        return self.patiently(attempt)

    @contextmanager
    def opened(
        self,
        method: str,
        url: str,
        *,
        expect: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        seconds: float | None = None,
        size: int | None = None,
    ) -> Iterator[requests.Response]:
        """One request and its answer, whose body is not read yet.

        Args:
            size: Bytes of a body that may be more than an answer's, and take longer.

        Raises:
            Failure: As for `request`.
        """
        if self.stop.is_set():
            raise Stopped
        log.debug("%s %s", method, urlsplit(url)._replace(query="").geturl())
        data: Any = b"" if isinstance(body, Body) and not body.size else body
        if isinstance(body, Body):
            body.keep_pace(self.patience.read_timeout)
        wait = min(seconds or self.patience.read_timeout, self.patience.read_timeout)
        with answers(wait):
            response = self._session.request(
                method,
                url,
                headers=dict(headers or {}),
                data=data,
                stream=True,
                allow_redirects=method in ("GET", "HEAD"),
                timeout=(min(self.patience.connect_timeout, wait), wait),
                proxies=requests.utils.get_environ_proxies(url, no_proxy=None),
            )
        with response:
            if response.status_code not in expect:
                raise refusal(response.status_code, response.reason, response.headers, _beginning(response))
            if size is not None:
                wire.allow(response, size)
            yield response

    def patiently(self, attempt: Callable[[], _Result]) -> _Result:
        """The result of an attempt, tried again as long as that may help; see `Failure.wait`."""
        for number in range(1, self.patience.attempts + 1):
            try:
                return attempt()
            except Failure as failure:
                if failure.wait is None:
                    raise
                if number == self.patience.attempts:
                    raise Failure(
                        f"{failure} ({number} attempts)", kind=failure.kind, status=failure.status
                    ) from failure
                self.pause(failure.wait, number)
        raise AssertionError("unreachable: there is at least one attempt")

    def pause(self, wait: float, number: int) -> None:
        """Wait before attempt `number` + 1: what the target asks for, else twice as long each time."""
        seconds = min(max(wait, _FIRST_WAIT * 2 ** (number - 1)), LONGEST_WAIT)
        if self.patience.sleep is time.sleep:
            self.stop.wait(seconds)
        else:
            self.patience.sleep(seconds)
        if self.stop.is_set():
            raise Stopped


class _Session(requests.Session):
    """Follows a redirection unless it leaves TLS, and reads nothing of the answer that it came with."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer leads to; None when it leads nowhere."""
        target = super().get_redirect_target(resp)
        if target is not None:
            resp.close()  # requests would read its body, which may have no end
            if resp.url.startswith("https://") and not urljoin(resp.url, target).startswith("https://"):
                raise Failure("leads from https:// to http://")
        return target

    def resolve_redirects(self, *args: Any, **options: Any) -> Any:
        """The answers that an answer leads to; none where they are not asked for, and requests would prepare one."""
        return iter(()) if options.get("yield_requests") else super().resolve_redirects(*args, **options)


@contextmanager
def answers(seconds: float) -> Iterator[None]:
    """Turn what goes wrong on the way into a `Failure`; `seconds` is how long an answer was waited for."""
    try:
        yield
    except wire.TooSlow as error:
        raise Failure(str(error), kind="timeout", wait=0) from error
    except wire.TooLarge as error:
        raise Failure(str(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _broken(error, seconds) from error
    except OSError as error:  # the file that is sent, or a socket
        raise Failure(f"cannot go on: {error.strerror or error}", kind="broken") from error


def _broken(error: Exception, seconds: float) -> Failure:
    text = _reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        why = re.search(r"certificate verify failed: ([^(]*)", str(error))
        return Failure(f"its certificate is not trusted: {why[1].strip() if why else text}", kind="certificate")
    if isinstance(error, requests.exceptions.SSLError):
        return Failure(f"TLS failed: {text}", kind="tls", wait=0)
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.ReadTimeoutError) or "timed out" in text:
        return Failure(f"no answer in {seconds:g} s", kind="timeout", wait=0)
    if isinstance(error, requests.exceptions.TooManyRedirects | requests.exceptions.InvalidURL):
        return Failure(text)
    refused = isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        getattr(_cause(error), "__context__", None) or _cause(error),
        ConnectionRefusedError | urllib3.exceptions.NewConnectionError,
    )
    if refused:
        return Failure(f"no connection: {text}", kind="refused", wait=0)
    return Failure(f"the connection broke: {text}", kind="broken", wait=0)


def _cause(error: BaseException) -> Any:
    """What urllib3 wrapped in what requests wrapped."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", inner)


def _reason(error: BaseException) -> str:
    """The last part of a message such as `HTTPSConnection(host=…): Failed to …: [Errno 111] Connection refused`."""
    cause = _cause(error)
    inner = cause.args[-1] if isinstance(cause, BaseException) and cause.args else cause
    text = re.sub(r"^\S*Connection\w*\(.*?\): |^<.*?>: |^\[Errno \d+\] ", "", str(inner or cause))
    return " ".join(text.split())[:200]


def refusal(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer is, in the words of whoever answered."""
    said = _words(body)
    what = f"HTTP {status} {reason}".strip() + (f": {said}" if said else "")
    if status in (408, 429) or status >= 500:
        wait = _retry_after(headers.get("Retry-After", ""))
        if wait > LONGEST_WAIT:
            return Failure(f"{what} (it asks to wait {wait / 3600:.1f} h)", status=status)
        return Failure(what, wait=wait, status=status)
    return Failure(what, status=status)


def split_address(url: str) -> SplitResult:
    """The parts of an address that a target gave.

    Raises:
        Failure: It is none.
    """
    try:
        return urlsplit(url)
    except ValueError as error:  # https://[x/
        raise Failure(f"gives no good address: {url[:80]!r}") from error


def _words(body: bytes) -> str:
    """The error's message, of a registry (`errors[0].message`) or of GitHub (`message`)."""
    found = re.search(rb'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', body)
    text = found[1].decode(errors="replace") if found else ""
    return "".join(char for char in text if char.isprintable())[:200]


def _beginning(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read(1 << 14, decode_content=True))
    except (urllib3.exceptions.HTTPError, OSError, ValueError, wire.TooSlow, wire.TooLarge):
        return b""


def _retry_after(asked: str) -> float:
    """Seconds to wait (RFC 9110, 10.2.3: a number of seconds, or a date); 0 when nothing is asked."""
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine by its name or number: nobody listens in there."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
