"""A registry, by the OCI distribution specification 1.1.

Whatever goes wrong on the way is tried again (`builder.publish.http`); what a registry answers is believed only where a
digest does not decide. A tag that was set is read back.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from builder.publish.auth import Authorizer
from builder.publish.content import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    LARGEST_JSON,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Descriptor,
    digest_of,
    with_referrer,
)
from builder.publish.credentials import NOBODY, Credentials
from builder.publish.http import Answer, Body, Failure, Http, Progress, answers, is_loopback
from builder.settings import Registry

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
ANSWER_SECONDS = 15.0
"""How long a registry may take to answer at all."""
_SERVERS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Docker Hub is spoken to under another name than its images have."""
_NO_LOGIN = "access denied: it wants a login (docker login {})"
_MOST_RESTARTS = 40
_PROBLEM_STATUS = (400, 401, 403)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest or an index as a registry gives it; `data` is what `digest` says."""

    digest: str
    media_type: str
    data: bytes

    def entries(self) -> set[str]:
        """The digests of an index's entries, else its own."""
        try:
            listed = json.loads(self.data)["manifests"]
            return {str(each["digest"]) for each in listed}
        except (ValueError, LookupError, TypeError):
            return {self.digest}


class RegistryClient:
    """One registry with its prefix; `name` is how it is called for people (`registry.example/mirror`).

    Args:
        http: Made with the registry's CA.
        credentials: Asked when the registry wants to know who we are.
        actions: What is asked for where tokens say what one may do.
    """

    def __init__(
        self,
        registry: Registry,
        http: Http,
        *,
        credentials: Callable[[], Credentials] = lambda: NOBODY,
        actions: str = "pull,push",
    ) -> None:
        self.name = str(registry)
        self.http = http
        self._registry = registry
        self._credentials = credentials
        self._actions = actions
        self._base = ""
        self._auth: Authorizer | None = None
        self._uploaded: dict[str, set[str]] = {}

    def open(self) -> None:
        """Find out how to talk to it: by TLS, or in the clear where the settings or loopback allow that.

        As with docker, a registry on loopback is asked by TLS first; a certificate that is not trusted is an error
        there too, never a reason to go on without.

        Raises:
            Failure: It does not answer, or not as a registry does.
        """
        self.http.patiently(self._open)

    def _open(self) -> None:
        first: Failure | None = None
        schemes: tuple[str, ...] = ("http",) if self._registry.plain_http else ("https",)
        if is_loopback(self._registry.host) and not self._registry.plain_http:
            schemes = ("https", "http")
        for scheme in schemes:
            base = f"{scheme}://{_SERVERS.get(self._registry.host, self._registry.host)}"
            try:
                self.http.request("GET", f"{base}/v2/", expect=(200, 401), seconds=ANSWER_SECONDS)
            except Failure as failure:
                if failure.kind == "certificate":
                    raise
                if failure.kind == "timeout":
                    failure.wait = None  # who takes connections and says nothing will not do better
                first = first if first and failure.status in _PROBLEM_STATUS else failure
                continue
            self._base = base
            self._auth = Authorizer(self.http, secure=scheme == "https", credentials=self._credentials)
            return
        assert first is not None
        if first.kind == "tls" and schemes == ("https",):
            raise Failure(f"{first} (plain HTTP needs plain_http: true in the settings)")
        raise first

    def repository(self, name: str) -> str:
        """A repository's name at this registry, with its prefix."""
        return f"{self._registry.prefix}/{name}" if self._registry.prefix else name

    def reference(self, repository: str, tag: str) -> str:
        """What a user pulls."""
        return f"{self._registry.host}/{self.repository(repository)}:{tag}"

    def tagged(self, repository: str, reference: str) -> Manifest | None:
        """What a tag (or a digest) stands for; None when there is no such thing.

        Raises:
            Failure: The registry does not say.
        """

        def attempt() -> Answer:
            return self._request("GET", repository, f"manifests/{reference}", expect=(200, 404), accept=ACCEPT)

        answer = self.http.patiently(attempt)
        if answer.status == 404 and not _says_absent(answer):
            answer = self.http.patiently(attempt)  # of whoever stands between: a registry says what it misses
        if answer.status == 404:
            return None
        digest = digest_of(answer.body)
        said = answer.headers.get("Docker-Content-Digest", digest)
        if len(answer.body) > LARGEST_JSON or digest != said or (":" in reference and digest != reference):
            raise Failure(f"gives another manifest for {reference} than it says")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return Manifest(digest=digest, media_type=media_type, data=answer.body)

    def has_manifest(self, repository: str, descriptor: Descriptor) -> bool:
        """Whether a manifest is there by its digest."""
        return self._has(repository, f"manifests/{descriptor.digest}", descriptor, ACCEPT)

    def has_blob(self, repository: str, descriptor: Descriptor) -> bool:
        """Whether a blob is there."""
        found = self._has(repository, f"blobs/{descriptor.digest}", descriptor, "*/*")
        if found:
            self._uploaded.setdefault(descriptor.digest, set()).add(repository)
        return found

    def _has(self, repository: str, path: str, descriptor: Descriptor, accept: str) -> bool:
        def attempt() -> bool:
            answer = self._request("HEAD", repository, path, expect=(200, 404), accept=accept)
            if answer.status == 404:
                return False
            said = answer.headers.get("Docker-Content-Digest", descriptor.digest)
            length = answer.headers.get("Content-Length", str(descriptor.size))
            if said != descriptor.digest or length != str(descriptor.size):
                raise Failure(f"says of {descriptor.digest} that it is another, {said} of {length} bytes", wait=0)
            return True

        return self.http.patiently(attempt)

    def put_blob(self, repository: str, blob: Blob, progress: Progress) -> bool:
        """Have a blob in a repository: from another one at this registry, or else sent.

        Returns:
            Whether it was sent.

        Raises:
            Failure: It is not there.
        """
        known = sorted(self._uploaded.get(blob.digest, set()) - {repository})
        upload = _Upload(self, repository, blob, known[0] if known else "", progress)
        upload.run()
        self._uploaded.setdefault(blob.digest, set()).add(repository)
        return upload.sent

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        """Put a manifest at its digest, or at a tag, and see that it is there.

        Raises:
            Failure: It is not.
        """

        def attempt() -> None:
            self._request(
                "PUT",
                repository,
                f"manifests/{reference}",
                expect=(201,),
                headers={"Content-Type": media_type},
                body=lambda: data,
            )

        self.http.patiently(attempt)
        found = self.tagged(repository, reference)
        if found is None or found.digest != digest_of(data):
            raise Failure(f"took {reference} and has something else there")

    def add_referrer(self, repository: str, subject: str, descriptor: Descriptor) -> None:
        """Have a manifest found from what it is about, also where the registry does not do that by itself.

        Such a registry (no referrers API) gets an index with the tag `sha256-HEX` (distribution-spec, "Referrers Tag
        Schema").

        Raises:
            Failure: It could not be written.
        """

        def ask() -> Answer:
            return self._request(
                "GET", repository, f"referrers/{subject}", expect=(200, 400, 404, 405), accept=OCI_INDEX
            )

        answer = self.http.patiently(ask)
        if answer.status == 200 and answer.headers.get("Content-Type", "").startswith(OCI_INDEX):
            return
        tag = subject.replace(":", "-")
        before = self.tagged(repository, tag)
        try:
            index = with_referrer(before.data if before else None, descriptor)
        except ValueError as error:
            raise Failure(str(error)) from error
        if index is not None:
            self.put_manifest(repository, tag, OCI_INDEX, index)

    def read_blob(self, repository: str, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """A blob's bytes from a place on, in pieces; nothing says yet that they are the right ones.

        Raises:
            Failure: It cannot be read; the bytes given until then are part of it.
        """
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        skip = 0
        for again in (False, True):
            headers = {**self._authorizer.header(self._scope(repository)), "Accept": "*/*", **wanted}
            url = self._url(repository, f"blobs/{descriptor.digest}")
            with self.http.opened("GET", url, expect=(200, 206, 401), headers=headers) as response:
                if response.status_code == 401:
                    challenge = response.headers.get("WWW-Authenticate", "")
                    if not self._authorizer.answer(challenge, self._scope(repository)) or again:
                        raise Failure(_NO_LOGIN.format(self._registry.host), status=401)
                    continue
                if response.status_code == 200:
                    skip = offset
                yield from _pieces(response.raw, skip, self.http)
                return

    @property
    def _authorizer(self) -> Authorizer:
        assert self._auth is not None, "open() comes first"
        return self._auth

    def _scope(self, repository: str, source: str = "") -> str:
        own = f"repository:{self.repository(repository)}:{self._actions}"
        return f"{own} repository:{self.repository(source)}:pull" if source else own

    def _url(self, repository: str, path: str) -> str:
        return f"{self._base}/v2/{self.repository(repository)}/{path}"

    def _request(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        expect: tuple[int, ...],
        accept: str = "*/*",
        headers: dict[str, str] | None = None,
        body: Callable[[], Body | bytes] = lambda: b"",
        source: str = "",
    ) -> Answer:
        """One request with what the registry wants to know of us; `path` may be an address that it gave.

        `source` is a further repository, which is read.
        """
        scope = self._scope(repository, source)
        url = self._located(path) if "://" in path or path.startswith("/") else self._url(repository, path)
        for again in (False, True):
            own = url.startswith(self._base + "/")
            sent = {
                "Accept": accept,
                **(self._authorizer.header(scope) if own else {}),
                **(headers or {}),
            }
            answer = self.http.request(method, url, expect=(*expect, 401), headers=sent, body=body())
            if answer.status != 401 or (again and 401 in expect):
                return answer
            if not self._authorizer.answer(answer.headers.get("WWW-Authenticate", ""), scope) and again:
                raise Failure(_NO_LOGIN.format(self._registry.host), status=401)
        raise Failure("access denied: the login is not good, or may not do this", status=401)

    def _located(self, location: str) -> str:
        """An address that the registry gave, which may be relative; never one that leaves TLS."""
        url = urllib.parse.urljoin(self._base + "/", location)
        if self._base.startswith("https://") and not url.startswith("https://"):
            raise Failure("leads from https:// to http://")
        if not url.startswith(("https://", "http://")):
            raise Failure(f"gives no good address: {location[:80]!r}")
        return url


class _Upload:
    """A blob on its way: it goes on where it broke off when the registry can, else from its start.

    Registries differ in what they take: all know the way of docker, one PATCH with everything.
    """

    def __init__(
        self, client: RegistryClient, repository: str, blob: Blob, mount_from: str, progress: Progress
    ) -> None:
        self.client = client
        self.repository = repository
        self.blob = blob
        self.mount_from = mount_from
        self.sent = False
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
        self.client._request("PUT", self.repository, url, expect=(201, 204), headers=headers)

    def _start(self) -> bool:
        """Begin an upload; true when the registry had the blob elsewhere."""
        path, self._offset = "blobs/uploads/", 0
        source, self.mount_from = self.mount_from, ""
        if source:
            mount = {"mount": self.blob.digest, "from": self.client.repository(source)}
            mounted = f"{path}?{urllib.parse.urlencode(mount)}"
            expect = (201, 202, *_PROBLEM_STATUS, 405)  # who does not mount gets it sent
            answer = self.client._request("POST", self.repository, mounted, expect=expect, source=source)
        if not source or answer.status not in (201, 202):
            answer = self.client._request("POST", self.repository, path, expect=(201, 202))
        if answer.status == 201:
            return True
        self._follow(answer)
        return False

    def _resume(self) -> None:
        """Ask how far the upload got."""
        answer = self.client._request("GET", self.repository, self._location, expect=(204, 400, 404, 416))
        reached = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
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

        answer = self.client._request(
            "PATCH", self.repository, self._location, expect=(202,), headers=headers, body=fresh
        )
        self._offset = self.blob.size
        self._follow(answer)

    def _follow(self, answer: Answer) -> None:
        location = answer.headers.get("Location", "")
        if not location:
            raise Failure("gives no address to send a blob to", wait=0)
        self._location = self.client._located(location)

    def _count(self, size: int) -> None:
        self._told += size
        self._progress(size)

    def _tell(self, position: int) -> None:
        """Put right what was told of the progress."""
        if position != self._told:
            self._progress(position - self._told)
            self._told = position


def _pieces(raw: Any, skip: int, http: Http) -> Iterator[bytes]:
    with answers(http.patience.read_timeout):
        for piece in raw.stream(1 << 18, decode_content=False):
            kept = piece[skip:]
            skip -= len(piece) - len(kept)
            if kept:
                yield kept


def _says_absent(answer: Answer) -> bool:
    """Whether it is the registry that says so: its errors are JSON (distribution-spec, "Error Codes")."""
    try:
        return bool(json.loads(answer.body)["errors"])
    except (ValueError, LookupError, TypeError):
        return False
