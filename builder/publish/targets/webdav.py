"""A server that takes files by WebDAV (RFC 4918), or by PUT alone: a folder V-A for each release.

Each file gets its name only when it was read back whole, where the server can MOVE; else it is sent under its name and
read back. SHA256SUMS comes last: where that is, all else is.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from builder.publish.artifact import ReleaseFile
from builder.publish.http import Answer, Body, Failure, Http
from builder.publish.sources import Release
from builder.publish.targets import folder_name, sums_of
from builder.publish.transfer import Outcome, State, Watch

_MADE = (200, 201, 204)
_CANNOT = (400, 403, 404, 405, 409, 415, 501)
"""What a server answers to a method that it does not have, or whose work is done already."""


class HttpTarget:
    """A folder on a server.

    Args:
        url: Its address, with no slash at the end.
        authorization: The value of a header, which is never shown; empty for none.
    """

    def __init__(self, url: str, http: Http, *, authorization: str = "") -> None:
        self.name = url.rstrip("/")
        self._http = http
        self._headers = {"Authorization": authorization} if authorization else {}
        self._moves = True

    def publish(self, releases: Sequence[Release], *, overwrite: bool, dry_run: bool, watch: Watch) -> list[Outcome]:
        """Bring releases there; see `FileTarget`."""
        return [self._one(release, overwrite, dry_run, watch) for release in releases]

    def _one(self, release: Release, overwrite: bool, dry_run: bool, watch: Watch) -> Outcome:
        base = f"{self.name}/{folder_name(release)}"
        sums = sums_of(release.files)

        def outcome(state: State, why: str = "") -> Outcome:
            return Outcome(target=self.name, reference=f"{base}/", digest=f"sha256:{sums.sha256}", state=state, why=why)

        try:
            there = self._sha256(f"{base}/{sums.name}", sums.size)
            if there not in (None, sums.sha256) and not overwrite:
                return outcome(State.REFUSED, "it is there with other content (--overwrite replaces it)")
            missing = [file for file in release.files if not self._has(base, file)]
            if not missing:
                return outcome(State.THERE)
            if dry_run:
                return outcome(State.WOULD)
            if there is not None:  # what it says is not so until all is there
                self._request("DELETE", f"{base}/{sums.name}", (*_MADE, *_CANNOT))
            watch.begin(self.name, sum(file.size for file in missing), f"{len(missing)} files")
            self._folders(base, release.files)
            for file in [*(each for each in missing if each is not sums), sums]:
                self._http.patiently(partial(self._send, base, file, watch))
        except Failure as failure:
            return outcome(State.FAILED, str(failure))
        return outcome(State.SENT)

    def _has(self, base: str, file: ReleaseFile) -> bool:
        url = f"{base}/{urllib.parse.quote(file.name)}"
        answer = self._request("HEAD", url, (200, 404, 405, 410, 501))
        length = answer.headers.get("Content-Length") if answer.status == 200 else None
        if answer.status in (404, 410) or (length is not None and length != str(file.size)):
            return False
        return self._sha256(url, file.size) == file.sha256

    def _sha256(self, url: str, size: int) -> str | None:
        """The checksum of what is there, and should have so many bytes; None when there is nothing."""
        return self._http.body_sha256(url, size=size, expect=(200, 404, 410), headers=self._headers)

    def _folders(self, base: str, files: Sequence[ReleaseFile]) -> None:
        """Make the folders, where the server has such; one that makes them by itself may refuse."""
        below = {str(PurePosixPath(file.name).parent) for file in files} - {"."}
        for folder in (self.name, base, *(f"{base}/{name}" for name in sorted(below))):
            self._request("MKCOL", f"{folder}/", (*_MADE, 301, 302, *_CANNOT))

    def _send(self, base: str, file: ReleaseFile, watch: Watch) -> None:
        url = f"{base}/{urllib.parse.quote(file.name)}"
        if self._moves:
            folder, _, name = url.rpartition("/")
            part = f"{folder}/.{name}.part"
            self._put(part, file, watch)
            headers = {"Destination": url, "Overwrite": "T"}
            if self._request("MOVE", part, (*_MADE, *_CANNOT), headers).status in _MADE:
                return
            if self._sha256(url, file.size) == file.sha256:  # it was moved, and only the answer was lost
                return
            self._moves = False
            self._request("DELETE", part, (*_MADE, *_CANNOT))
            watch.advance(self.name, -file.size)
        self._put(url, file, watch)

    def _put(self, url: str, file: ReleaseFile, watch: Watch) -> None:
        """Send a file, and read it back."""
        body = Body(file.blob, progress=lambda size: watch.advance(self.name, size), stop=self._http.stop)
        headers = {**self._headers, "Content-Type": "application/octet-stream"}
        try:
            self._http.request("PUT", url, expect=_MADE, headers=headers, body=body)
            if self._sha256(url, file.size) != file.sha256:
                raise Failure(f"took {file.name} and gives something else back", wait=0)
        except Failure:
            watch.advance(self.name, -body.sent)
            raise

    def _request(self, method: str, url: str, expect: tuple[int, ...], headers: dict[str, str] | None = None) -> Answer:
        sent = {**self._headers, **(headers or {})}
        return self._http.patiently(lambda: self._http.request(method, url, expect=expect, headers=sent))
