"""Downloads: from several mirrors, resumed, retried, checked, and kept by checksum (`builder.inputs.store`)."""

from __future__ import annotations

import http
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from builder import __version__
from builder.errors import FetchError, InputError
from builder.inputs.store import Entry, cache_errors, file_sha256

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes that there will be, if the mirror says."""

_Result = TypeVar("_Result")

_CHUNK = 1 << 18
_LONGEST_WAIT = 60.0
_OFFLINE_HINT = "without a network, use kernel source debian, or a tarball on this machine (source tarball)"

Kind = Literal["unreachable", "missing", "answer", "html", "broken", "checksum", "signature"]

_MEANING: dict[Kind, tuple[str, str]] = {
    "unreachable": ("no mirror can be reached", f"look at the network and the proxy settings; {_OFFLINE_HINT}"),
    "missing": ("no mirror has it", "look at the version: it may be misspelt, or not released"),
    "answer": ("no mirror gave it", "look at kernel.mirrors in the settings"),
    "html": ("a web page came instead", "a proxy or a login page may answer for the mirror; try another mirror"),
    "broken": ("the transfer broke each time", "run it again: it goes on where it stopped"),
    "checksum": ("the checksum does not match", "look at kernel.sha256 in the settings: is it this version's?"),
    "signature": ("the signature is not good", "give the signing key in kernel.keyring, or pin kernel.sha256"),
}


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try one mirror.

    Attributes:
        attempts: Requests in all, the first one included.
        connect_timeout: Seconds for a connection.
        read_timeout: Seconds without a byte.
        sleep: Waits for some seconds between two attempts.
    """

    attempts: int = 4
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep


PATIENCE = Patience()


class MirrorError(Exception):
    """One mirror did not give the file.

    Attributes:
        kind: What sort of failure it is.
        wait: Seconds after which another attempt may do; None when it will not.
    """

    def __init__(self, kind: Kind, what: str, *, wait: float | None = None) -> None:
        super().__init__(what)
        self.kind = kind
        self.wait = wait


def default_cache() -> Path:
    """The cache's folder: `$ROSK_CACHE`, else `$XDG_CACHE_HOME/rosk`, else `~/.cache/rosk`.

    Raises:
        InputError: There is no home folder either.
    """
    if chosen := os.environ.get("ROSK_CACHE"):
        return Path(chosen).absolute()
    # A relative XDG_CACHE_HOME is invalid and to be ignored (XDG base directory specification).
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "rosk"
    except RuntimeError as error:
        raise InputError("there is no home folder for the cache", hint="set ROSK_CACHE to a folder") from error


def fetch(
    urls: Sequence[str],
    *,
    sha256: str,
    cache: Path,
    name: str,
    on_progress: Progress | None = None,
    patience: Patience = PATIENCE,
) -> Path:
    """Get a file by its checksum: from the cache, or else from the first mirror that has it.

    Args:
        urls: The file's address on each mirror, in the order to try them.
        sha256: The checksum that it must have, in hexadecimal.
        cache: The cache's folder; made if it is missing.
        name: The name that the file gets.

    Returns:
        The file, `CACHE/sha256/HEX/NAME`, alone in its folder.

    Raises:
        FetchError: No mirror gave it; the details have one line per mirror.
        NoSpaceError: The cache's disk is full.
        InputError: The cache cannot be written.
    """
    entry = Entry(cache=cache, sha256=sha256.lower(), name=name)
    failures: list[tuple[str, MirrorError]] = []
    with cache_errors(cache), entry.locked():
        if found := entry.find():
            return found
        with _session() as session:
            for url in urls:
                try:
                    _download_checked(session, url, entry, on_progress, patience)
                except MirrorError as failure:
                    failures.append((url, failure))
                else:
                    return entry.adopt(entry.part)
    raise mirrors_failed(name, failures)


def read(url: str, *, limit: int = 1 << 24, patience: Patience = PATIENCE) -> bytes:
    """Get a small file of at most `limit` bytes, which the caller verifies.

    Raises:
        MirrorError: This mirror does not give it.
    """

    def attempt() -> bytes:
        with _request(session, url, {}, patience) as response:
            data = b""
            for chunk in _chunks(response):
                data += chunk
                if len(data) > limit:
                    raise MirrorError("answer", f"is larger than {limit} bytes")
        if _is_html(data):
            raise MirrorError("html", _HTML)
        return data

    with _session() as session:
        return _patiently(attempt, patience)


def mirrors_failed(name: str, failures: Sequence[tuple[str, MirrorError]]) -> FetchError:
    """The error that says why no mirror gave the file `name`."""
    kinds: set[Kind] = {failure.kind for _, failure in failures}
    # Of several kinds, one says more than the others: a mirror did answer, and its file was the wrong one.
    order: tuple[Kind, ...] = ("checksum", "signature", "html", "broken", "answer", "missing", "unreachable")
    meaning, hint = _MEANING[next(kind for kind in order if kind in kinds)]
    if kinds == {"missing", "unreachable"}:
        meaning, hint = "no mirror gave it", _MEANING["unreachable"][1]
    details = [f"{url}: {failure}" for url, failure in failures]
    return FetchError(f"could not fetch {name}: {meaning}", hint=hint, details=details)


def _session() -> requests.Session:
    import requests  # noqa: PLC0415 - slow to import, and most commands fetch nothing

    session = requests.Session()
    # "identity": a compressed transfer of a compressed file would confuse its length and its ranges.
    session.headers.update({"User-Agent": f"rosk/{__version__}", "Accept-Encoding": "identity"})
    return session


def _download_checked(
    session: requests.Session, url: str, entry: Entry, on_progress: Progress | None, patience: Patience
) -> None:
    """Download into `entry.part` until it has the checksum; a part that is the wrong file is removed."""
    pieces = _Pieces(session, url, entry.part, on_progress, patience)
    _patiently(pieces.attempt, patience)
    if (actual := file_sha256(entry.part)) != entry.sha256 and pieces.resumed:
        # What was there before may be another file's beginning: once more, from nothing.
        entry.part.unlink()
        _patiently(pieces.attempt, patience)
        actual = file_sha256(entry.part)
    if actual != entry.sha256:
        size = entry.part.stat().st_size
        entry.part.unlink()
        raise MirrorError("checksum", f"SHA-256 of the {size} bytes is {actual}, not {entry.sha256}")


def _patiently(attempt: Callable[[], _Result], patience: Patience) -> _Result:
    """The result of `attempt`, tried again as long as that may help."""
    for number in range(1, patience.attempts + 1):
        try:
            return attempt()
        except MirrorError as failure:
            if failure.wait is None:
                raise
            if number == patience.attempts:
                raise MirrorError(failure.kind, f"{failure} ({number} attempts)") from failure
            patience.sleep(min(failure.wait * 2 ** (number - 1), _LONGEST_WAIT))
    raise AssertionError("unreachable: there is at least one attempt")


@dataclass
class _Pieces:
    """A download that goes on, at each attempt, from where the one before broke off."""

    session: requests.Session
    url: str
    part: Path
    on_progress: Progress | None
    patience: Patience
    resumed: bool = False
    etag: str = ""

    def attempt(self) -> None:
        offset = self.part.stat().st_size if self.part.exists() else 0
        with _request(self.session, self.url, self._range(offset), self.patience) as response:
            if response.status_code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") == f"bytes */{offset}":
                    self.resumed = True
                    return
                self._start_over("has fewer bytes than the part that is there")
            if response.status_code != http.HTTPStatus.PARTIAL_CONTENT:
                offset = 0
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                self._start_over("gave another range than the one it was asked for")
            self.resumed = offset > 0
            self.etag = response.headers.get("ETag", "")
            self._write(response, offset)

    def _range(self, offset: int) -> dict[str, str]:
        if offset == 0:
            return {}
        # With If-Range, a file that has changed comes whole (RFC 9110, 13.1.5); a weak ETag is not allowed there.
        same = {"If-Range": self.etag} if self.etag and not self.etag.startswith("W/") else {}
        return {"Range": f"bytes={offset}-", **same}

    def _start_over(self, why: str) -> None:
        self.part.unlink()
        raise MirrorError("answer", why, wait=0)

    def _write(self, response: requests.Response, offset: int) -> None:
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdecimal() else None
        done = offset
        try:
            with self.part.open("ab" if offset else "wb") as out:
                for chunk in _chunks(response):
                    if done == 0 and _is_html(chunk):
                        raise MirrorError("html", _HTML)
                    out.write(chunk)
                    done += len(chunk)
                    if self.on_progress is not None:
                        self.on_progress(done, total)
        except MirrorError as failure:
            if failure.kind == "broken":
                failure.args = (f"{failure} after {done} bytes" + (f" of {total}" if total else ""),)
            raise
        except OSError:
            # The disk is full, most likely: what was taken of it is given back.
            self.part.unlink(missing_ok=True)
            raise


def _request(session: requests.Session, url: str, headers: dict[str, str], patience: Patience) -> requests.Response:
    """The answer to a GET: 200, 206 or (when a range was asked for) 416.

    Raises:
        MirrorError: Any other answer, or none.
    """
    import requests  # noqa: PLC0415 - see _session
    import urllib3  # noqa: PLC0415

    timeout = (patience.connect_timeout, patience.read_timeout)
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise MirrorError("answer", f"TLS failed: {_reason(error)}") from error
    except requests.exceptions.ConnectTimeout as error:
        raise MirrorError("unreachable", f"no connection within {patience.connect_timeout:g} s") from error
    except requests.exceptions.ReadTimeout as error:
        raise MirrorError("broken", f"no answer within {patience.read_timeout:g} s", wait=1) from error
    except requests.exceptions.ProxyError as error:
        raise MirrorError("unreachable", f"the proxy failed: {_reason(error)}") from error
    except requests.exceptions.ConnectionError as error:
        if isinstance(_cause(error), urllib3.exceptions.NewConnectionError):
            raise MirrorError("unreachable", _reason(error)) from error
        raise MirrorError("broken", f"the connection broke: {_reason(error)}", wait=1) from error
    except requests.exceptions.RequestException as error:
        raise MirrorError("answer", str(error)) from error
    status = response.status_code
    if status in (200, 206) or (status == 416 and "Range" in headers):
        return response
    response.close()
    shown = f"HTTP {status} {response.reason}".strip()
    if status in (404, 410):
        raise MirrorError("missing", shown)
    if status in (408, 429) or status >= 500:
        raise MirrorError("answer", shown, wait=_retry_after(response))
    raise MirrorError("answer", shown)


def _retry_after(response: requests.Response) -> float:
    """Seconds to wait: what the mirror asks for, if it does so in seconds, else one."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else 1.0


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as it is sent, in pieces; one that ends early is a `MirrorError` that another attempt may mend."""
    import urllib3  # noqa: PLC0415 - see _session

    try:
        yield from response.raw.stream(_CHUNK, decode_content=False)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise MirrorError("broken", "the transfer stood still", wait=1) from error
    except urllib3.exceptions.HTTPError as error:
        raise MirrorError("broken", "the transfer broke off", wait=1) from error


_HTML = "a web page came instead of the file (HTML)"


def _is_html(data: bytes) -> bool:
    """Whether a body begins like a web page."""
    return (
        re.match(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|\?xml[^>]*>.{0,200}?<html)", data, re.I | re.S)
        is not None
    )


def _cause(error: BaseException) -> object:
    """What urllib3 wrapped in what requests wrapped."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", inner)


def _reason(error: BaseException) -> str:
    """The last part of a message such as `HTTPSConnection(host=…): Failed to …: [Errno 111] Connection refused`."""
    return re.sub(r"^\S*Connection\w*\(.*?\): |^<.*?>: ", "", str(_cause(error)))
