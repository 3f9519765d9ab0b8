"""A registry, by the OCI distribution specification 1.1.

Whatever goes wrong on the way is tried again (`builder.publish.http`); what a registry answers is believed only where a
digest does not decide. A tag that was set is read back.
"""

from __future__ import annotations

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
    parse_json,
    with_referrer,
)
from builder.publish.credentials import NOBODY, Credentials
from builder.publish.http import Answer, Body, Failure, Http, Progress, answers, is_loopback, split_address
from builder.publish.upload import Upload
from builder.settings import Registry

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
ANSWER_SECONDS = 15.0
"""How long a registry may take to answer at all."""
_SERVERS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Docker Hub is spoken to under another name than its images have."""
_NO_LOGIN = "access denied: it wants a login (docker login {})"
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
            listed = parse_json(self.data)["manifests"]
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
            return self.request("GET", repository, f"manifests/{reference}", expect=(200, 404), accept=ACCEPT)

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
            answer = self.request("HEAD", repository, path, expect=(200, 404), accept=accept)
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
        upload = Upload(self, repository, blob, known[0] if known else "", progress)
        upload.run()
        self._uploaded.setdefault(blob.digest, set()).add(repository)
        return upload.sent

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        """Put a manifest at its digest, or at a tag, and see that it is there.

        Raises:
            Failure: It is not.
        """

        def attempt() -> None:
            self.request(
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
            return self.request(
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
            expect, size = (200, 206, 401), descriptor.size
            with self.http.opened("GET", url, expect=expect, headers=headers, size=size) as response:
                if response.status_code == 401:
                    self._check_ours(response.url)
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

    def request(
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
        url = self.located(path) if "://" in path or path.startswith("/") else self._url(repository, path)
        for again in (False, True):
            own = self._ours(url)
            sent = {
                "Accept": accept,
                **(self._authorizer.header(scope) if own else {}),
                **(headers or {}),
            }
            answer = self.http.request(method, url, expect=(*expect, 401), headers=sent, body=body())
            if answer.status != 401 or (again and 401 in expect):
                return answer
            self._check_ours(answer.url)
            if not self._authorizer.answer(answer.headers.get("WWW-Authenticate", ""), scope) and again:
                raise Failure(_NO_LOGIN.format(self._registry.host), status=401)
        raise Failure("access denied: the login is not good, or may not do this", status=401)

    def _ours(self, url: str) -> bool:
        """Whether an address is on the registry's own server: only that gets to know who we are."""
        mine, other = urllib.parse.urlsplit(self._base), urllib.parse.urlsplit(url)
        try:
            return (mine.scheme, mine.hostname, _port(mine)) == (other.scheme, other.hostname, _port(other))
        except ValueError:  # a port that is none
            return False

    def _check_ours(self, url: str) -> None:
        if not self._ours(url):
            raise Failure(f"access denied by {urllib.parse.urlsplit(url).hostname}, where it leads to", status=401)

    def located(self, location: str) -> str:
        """An address that the registry gave, which may be relative; never one that leaves TLS."""
        split_address(location)
        url = urllib.parse.urljoin(self._base + "/", location)
        if self._base.startswith("https://") and not url.startswith("https://"):
            raise Failure("leads from https:// to http://")
        if not url.startswith(("https://", "http://")):
            raise Failure(f"gives no good address: {location[:80]!r}")
        return url


def _port(parts: urllib.parse.SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


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
        return bool(parse_json(answer.body)["errors"])
    except (ValueError, LookupError, TypeError):
        return False
