"""HTTP as every target needs it: TLS with a private CA, patience, bounded answers, bodies that stream from a file."""

from __future__ import annotations

import email.utils
import hashlib
import ipaddress
import logging
import os
import re
import ssl
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
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from builder import __version__
from builder.errors import InputError
from builder.inputs.fetch import Patience
from builder.publish.content import Blob
from builder.view import clean

log = logging.getLogger(__name__)

PATIENCE = Patience(attempts=5, connect_timeout=10, read_timeout=60)
LONGEST_WAIT = 120.0
"""Seconds that are waited for a target, whatever it asks for: who asks for more gets no second attempt."""
LARGEST_ANSWER = 8 << 20
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
        self._session.mount("https://", _Adapter(_trust(ca)))

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
            seconds: How long it may take to answer, when that is less than patience has.

        Raises:
            Failure: Any other answer than those expected, or none.
        """
        sent = self.opened(method, url, expect=expect, headers=headers, body=body, seconds=seconds)
        with sent as response, answers(self.patience.read_timeout):
            content = b""
            for piece in response.raw.stream(1 << 16, decode_content=True):
                content += piece
                if len(content) > LARGEST_ANSWER:
                    raise Failure(f"answers with more than {LARGEST_ANSWER} bytes")
        return Answer(status=response.status_code, headers=response.headers, body=content, url=response.url)

    def body_sha256(self, url: str, *, expect: tuple[int, ...], headers: Mapping[str, str] | None = None) -> str | None:
        """The SHA-256 (hex) of what an address has, read back with patience; None where it answers but with 200.

        Raises:
            Failure: Any other answer than those expected, or none.
        """

        def attempt() -> str | None:
            with (
                self.opened("GET", url, expect=expect, headers=headers) as response,
                answers(self.patience.read_timeout),
            ):
                if response.status_code != 200:
                    return None
                found = hashlib.sha256()
                for piece in response.raw.stream(1 << 18, decode_content=True):
                    found.update(piece)
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
    ) -> Iterator[requests.Response]:
        """One request and its answer, whose body is not read yet.

        Raises:
            Failure: As for `request`.
        """
        if self.stop.is_set():
            raise Stopped
        log.debug("%s %s", method, urlsplit(url)._replace(query="").geturl())
        data: Any = b"" if isinstance(body, Body) and not body.size else body
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


class _Adapter(HTTPAdapter):
    """Connections that trust what a context trusts."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **{**options, "ssl_context": self._context})

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave it to the context: requests would have each connection read all certificates anew."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**options, "ssl_context": self._context})


def _trust(ca: Path | None) -> ssl.SSLContext:
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


@contextmanager
def answers(seconds: float) -> Iterator[None]:
    """Turn what goes wrong on the way into a `Failure`; `seconds` is how long an answer was waited for."""
    try:
        yield
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
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
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
