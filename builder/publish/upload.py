"""How a blob gets into a registry (distribution-spec, "Pushing blobs"): mounted or sent, resumed when that breaks."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from typing import Protocol

from builder.publish.content import Blob, Descriptor
from builder.publish.http import Answer, Body, Failure, Http, Progress

_MOST_RESTARTS = 40
_REFUSALS = (400, 401, 403, 404, 405)
_MOST_MOUNTS = 2
"""How often a registry is asked whether it has a blob elsewhere: one that only fails at that gets it sent."""


class Client(Protocol):
    """What is asked of a registry's client; see `builder.publish.registry.RegistryClient`."""

    http: Http

    def repository(self, name: str) -> str: ...

    def has_blob(self, repository: str, descriptor: Descriptor) -> bool: ...

    def located(self, location: str) -> str: ...

    def request(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        expect: tuple[int, ...],
        accept: str = ...,
        headers: dict[str, str] | None = ...,
        body: Callable[[], Body | bytes] = ...,
        source: str = ...,
    ) -> Answer: ...


class Upload:
    """A blob on its way: it goes on where it broke off when the registry can, else from its start.

    Registries differ in what they take: all know the way of docker, one PATCH with everything.
    """

    def __init__(self, client: Client, repository: str, blob: Blob, mount_from: str, progress: Progress) -> None:
        self.client = client
        self.repository = repository
        self.blob = blob
        self.mount_from = mount_from
        self.sent = False
        self._mounts = 0
        self._progress = progress
        self._told = 0
        self._location = ""
        self._offset = 0
        self._furthest = 0

    def run(self) -> None:
        """Try until it is there, as long as each attempt gets further than those before, and some more."""
        http, failed = self.client.http, 0
        for _ in range(_MOST_RESTARTS):
            try:
                self._attempt()
                self._tell(self.blob.size if self.sent else 0)
                return
            except Failure as failure:
                self._tell(self._offset)
                failed = 1 if self._offset > self._furthest else failed + 1
                self._furthest = max(self._furthest, self._offset)
                lost = self._location and failure.status in (400, 404, 416)  # the upload is not known any more
                if lost:
                    self._location = ""
                elif failure.wait is None and failure.kind != "broken":
                    raise
                if failed >= http.patience.attempts:
                    raise Failure(
                        f"{failure} ({failed} attempts)", kind=failure.kind, status=failure.status
                    ) from failure
                http.pause(failure.wait or 0, failed)
            descriptor = Descriptor(media_type="", digest=self.blob.digest, size=self.blob.size)
            if self.client.has_blob(self.repository, descriptor):  # only the answer was lost
                self._tell(self.blob.size)
                return
        raise Failure(f"the connection broke {_MOST_RESTARTS} times")

    def _attempt(self) -> None:
        if self._location:
            self._resume()
        if not self._location and self._start():
            return
        self.sent = True
        if self._offset < self.blob.size:
            self._send()
        query = urllib.parse.urlencode({"digest": self.blob.digest})
        url = f"{self._location}{'&' if '?' in self._location else '?'}{query}"
        headers = {"Content-Type": "application/octet-stream"}
        self.client.request("PUT", self.repository, url, expect=(201, 204), headers=headers)

    def _start(self) -> bool:
        """Begin an upload; true when the registry had the blob elsewhere."""
        path, self._offset = "blobs/uploads/", 0
        source = self.mount_from if self._mounts < _MOST_MOUNTS else ""
        if source:
            self._mounts += 1
            mount = {"mount": self.blob.digest, "from": self.client.repository(source)}
            mounted = f"{path}?{urllib.parse.urlencode(mount)}"
            expect = (201, 202, *_REFUSALS)  # who does not mount gets it sent
            answer = self.client.request("POST", self.repository, mounted, expect=expect, source=source)
            self.mount_from = ""
        if not source or answer.status not in (201, 202):
            answer = self.client.request("POST", self.repository, path, expect=(201, 202))
        if answer.status == 201:
            return True
        self._follow(answer)
        return False

    def _resume(self) -> None:
        """Ask how far the upload got."""
        answer = self.client.request("GET", self.repository, self._location, expect=(204, 400, 404, 416))
        reached = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", answer.headers.get("Range", ""))
        # "0-0" is one byte, or none: registries do not agree.
        if answer.status != 204 or reached is None or not 0 < int(reached[1]) < self.blob.size:
            self._location = ""
            return
        self._offset = int(reached[1]) + 1
        if "Location" in answer.headers:
            self._follow(answer)

    def _send(self) -> None:
        skip = self._offset
        headers = {"Content-Type": "application/octet-stream"}
        if skip:
            headers["Content-Range"] = f"{skip}-{self.blob.size - 1}"
        body: list[Body] = []

        def fresh() -> Body:
            self._tell(skip)
            body.append(Body(self.blob, skip=skip, progress=self._count, stop=self.client.http.stop))
            return body[-1]

        answer = self.client.request(
            "PATCH", self.repository, self._location, expect=(202,), headers=headers, body=fresh
        )
        self._offset = self.blob.size
        self._follow(answer)

    def _follow(self, answer: Answer) -> None:
        location = answer.headers.get("Location", "")
        if not location:
            raise Failure("gives no address to send a blob to", wait=0)
        self._location = self.client.located(location)

    def _count(self, size: int) -> None:
        self._told += size
        self._progress(size)

    def _tell(self, position: int) -> None:
        """Put right what was told of the progress."""
        if position != self._told:
            self._progress(position - self._told)
            self._told = position
