"""A release of GitHub: a draft first, then its files, then a look at what arrived, and only then is it published.

Source: GitHub's REST API, "Releases" and "Release assets" (version 2022-11-28). One release has the files of all
architectures of a kernel release: files whose names do not say so get V and A into them. Architectures may come one
after another: SHA256SUMS keeps the lines of those before, and a draft that is not what SHA256SUMS says stays a draft.
The token goes in a header to the API's host, and to the host that the API names for uploads, and is never shown.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from builder.publish.artifact import SUMS
from builder.publish.content import Blob, digest_of, parse_json
from builder.publish.http import Answer, Body, Failure, Http, split_address
from builder.publish.sources import Release
from builder.publish.transfer import Outcome, State, Watch

_PAGE = 100
_MOST_PAGES = 50
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file as a release of GitHub is to have it."""

    name: str
    blob: Blob


def asset_name(name: str, v: str, a: str) -> str:
    """The name of a file among those of all architectures: `kernel/config` is `config-6.12.64-acme-x86`."""
    base = name.rpartition("/")[2]
    if f"{v}-{a}" in base:
        return base
    stem, dot, end = base.partition(".")
    return f"{stem}-{v}-{a}{dot}{end}"


def assets_of(releases: Sequence[Release]) -> list[Asset]:
    """The files of a kernel release by the names that they have there."""
    found: dict[str, Asset] = {}
    for release in releases:
        for file in release.files:
            name = asset_name(file.name, release.v, release.a)
            found[name] = Asset(name=name, blob=file.blob)
    return list(found.values())


def sums_of(assets: Sequence[Asset], kept: Mapping[str, str]) -> Asset:
    """SHA256SUMS of files by the names that they have there, and of others by name and checksum."""
    sums = {**kept, **{asset.name: asset.blob.digest.removeprefix("sha256:") for asset in assets}}
    data = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items())).encode()
    return Asset(name=SUMS, blob=Blob(digest=digest_of(data), size=len(data), data=data))


def is_of(name: str, release: Release) -> bool:
    """Whether a file that is there is, by its name, of that architecture (`arm64` is not `arm`)."""
    return re.search(rf"{re.escape(f'{release.v}-{release.a}')}(?![A-Za-z0-9])", name) is not None


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is to be done for a release of GitHub to have files.

    Attributes:
        found: The release as it is; None when there is none.
        there: Its files by name, as GitHub describes them.
        assets: The files that it is to have; SHA256SUMS is the last.
        kept: Names and checksums of other files in SHA256SUMS, of other architectures.
        missing: Those of `assets` that it does not have as they should be.
        wrong: The names of what it has with other content; not SHA256SUMS if that only grows.
        stale: The names of what is to go.
    """

    found: dict[str, Any] | None
    there: Mapping[str, dict[str, Any]]
    assets: Sequence[Asset]
    kept: Mapping[str, str]
    missing: Sequence[Asset]
    wrong: frozenset[str]
    stale: frozenset[str]

    @property
    def public(self) -> bool:
        return self.found is not None and not self.found.get("draft")


class GithubTarget:
    """The releases of a repository; the tag of each is V.

    Args:
        api: Base URL of the API.
        token: A token that may write them.
        prerelease: Mark the releases as not for production.
    """

    def __init__(self, repository: str, http: Http, *, api: str, token: str, prerelease: bool = False) -> None:
        self.name = f"github:{repository}"
        self._http = http
        self._api = f"{api.rstrip('/')}/repos/{repository}/releases"
        self._prerelease = prerelease
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def publish(self, releases: Sequence[Release], *, overwrite: bool, dry_run: bool, watch: Watch) -> list[Outcome]:
        """Bring releases there; see `FileTarget`."""
        groups: dict[str, list[Release]] = {}
        for release in releases:
            groups.setdefault(release.v, []).append(release)
        return [self._one(v, group, overwrite, dry_run, watch) for v, group in groups.items()]

    def _one(self, v: str, releases: Sequence[Release], overwrite: bool, dry_run: bool, watch: Watch) -> Outcome:
        sums = sums_of(assets_of(releases), {})

        def outcome(state: State, why: str = "", url: str = "") -> Outcome:
            reference = url or f"{self.name} {v}"
            return Outcome(target=self.name, reference=reference, digest=sums.blob.digest, state=state, why=why)

        try:
            work = self._look(v, releases, overwrite)
            sums = work.assets[-1]
            if work.found and work.public and not work.missing:
                return outcome(State.THERE, url=str(work.found.get("html_url") or ""))
            if work.public and work.wrong and not overwrite:
                names = ", ".join(sorted(work.wrong))
                return outcome(State.REFUSED, f"it has another {names} (--overwrite replaces it)")
            if dry_run:
                return outcome(State.WOULD)
            url = self._bring(v, work, watch)
        except Failure as failure:
            return outcome(State.FAILED, str(failure))
        return outcome(State.SENT, url=url)

    def _look(self, v: str, releases: Sequence[Release], overwrite: bool) -> _Work:
        """What is there, and what is to be done."""
        found = self._find(v)
        there = self._assets(found) if found else {}
        files = assets_of(releases)
        own = {file.name for file in files}
        missing = [file for file in files if not self._has(there, file)]
        wrong = {file.name for file in missing if file.name in there}
        lines = self._lines(there)
        summed = {match[2]: match[1] for match in map(_SUM.fullmatch, lines) if match}
        gone = set[str]()
        if (overwrite and wrong) or (found and found.get("draft")):  # a signature of what is replaced, say
            gone = {name for name in {*there, *summed} - own if any(is_of(name, each) for each in releases)}
        kept = {name: sha256 for name, sha256 in summed.items() if name not in own | gone}
        sums = sums_of(files, kept)
        if not self._has(there, sums):
            missing.append(sums)
        if lines - set(sums.blob.data.decode().splitlines()):
            wrong.add(SUMS)
        return _Work(
            found=found,
            there=there,
            assets=(*files, sums),
            kept=kept,
            missing=missing,
            wrong=frozenset(wrong),
            stale=frozenset(gone & there.keys() if overwrite else ()),
        )

    def _bring(self, v: str, work: _Work, watch: Watch) -> str:
        """Do it; the address of the release for people."""
        # A draft may have been made although no answer came, and a second POST would make a second one.
        release = work.found or self._http.patiently(lambda: self._find(v) or self._create(v))
        watch.begin(self.name, sum(asset.blob.size for asset in work.missing), f"{len(work.missing)} files")
        hidden = work.public and bool(work.wrong)
        if hidden:  # nobody is to find it with files missing
            self._set_draft(release, True)
        for name in work.stale:
            self._delete(work.there[name])
        for asset in work.missing:
            self._http.patiently(partial(self._upload, release, asset, watch))
        self._check(release, v, work)
        shown = release if work.public and not hidden else self._set_draft(release, False)
        return str(shown.get("html_url") or "")

    def _lines(self, there: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """The lines of the SHA256SUMS that is there."""
        if SUMS not in there or there[SUMS].get("state") != "uploaded":
            return set()
        url = f"{self._api}/assets/{_number(there[SUMS])}"
        headers = {**self._headers, "Accept": "application/octet-stream"}
        answer = self._http.patiently(partial(self._http.request, "GET", url, expect=(200,), headers=headers))
        return set(answer.body.decode(errors="replace").splitlines())

    def _find(self, tag: str) -> dict[str, Any] | None:
        """The release with a tag; a draft is found in the list only."""
        for page in range(1, _MOST_PAGES + 1):
            listed = self._json("GET", f"{self._api}?per_page={_PAGE}&page={page}", (200,))
            if not isinstance(listed, list):
                raise Failure("gives no list of releases")
            for each in listed:
                if isinstance(each, dict) and each.get("tag_name") == tag:
                    return each
            if len(listed) < _PAGE:
                return None
        return None

    def _create(self, v: str) -> dict[str, Any]:
        fields = {"tag_name": v, "name": f"Linux {v}", "draft": True, "prerelease": self._prerelease}
        made = self._json("POST", self._api, (201,), fields)
        if not isinstance(made, dict):
            raise Failure("gives no release")
        return made

    def _assets(self, release: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for page in range(1, _MOST_PAGES + 1):
            listed = self._json("GET", f"{self._own(release)}/assets?per_page={_PAGE}&page={page}", (200,))
            if not isinstance(listed, list):
                raise Failure("gives no list of files")
            found |= {str(each.get("name")): each for each in listed if isinstance(each, dict)}
            if len(listed) < _PAGE:
                break
        return found

    def _own(self, release: Mapping[str, Any]) -> str:
        return f"{self._api}/{_number(release)}"

    def _has(self, there: Mapping[str, Mapping[str, Any]], asset: Asset) -> bool:
        return asset.name in there and self._right(there[asset.name], asset)

    def _right(self, there: Mapping[str, Any], asset: Asset) -> bool:
        """Whether a file is there as it should be, by its digest, or by its bytes where GitHub gives none."""
        if there.get("state") != "uploaded" or there.get("size") != asset.blob.size:
            return False
        if there.get("digest"):
            return bool(there["digest"] == asset.blob.digest)
        url = f"{self._api}/assets/{_number(there)}"
        headers = {**self._headers, "Accept": "application/octet-stream"}
        size = asset.blob.size
        return f"sha256:{self._http.body_sha256(url, size=size, expect=(200,), headers=headers)}" == asset.blob.digest

    def _delete(self, there: Mapping[str, Any]) -> None:
        url = f"{self._api}/assets/{_number(there)}"
        self._http.patiently(partial(self._http.request, "DELETE", url, expect=(204, 404), headers=self._headers))

    def _upload(self, release: Mapping[str, Any], asset: Asset, watch: Watch) -> None:
        left = self._assets(release).get(asset.name)
        if left is not None:  # of an attempt before: whole, or its beginning
            if self._right(left, asset):
                return
            self._delete(left)
        query = urllib.parse.urlencode({"name": asset.name})
        body = Body(asset.blob, progress=lambda size: watch.advance(self.name, size), stop=self._http.stop)
        headers = {**self._headers, "Content-Type": "application/octet-stream"}
        try:
            url = f"{self._upload_url(release)}?{query}"
            self._http.request("POST", url, expect=(201,), headers=headers, body=body)
        except Failure:
            watch.advance(self.name, -body.sent)
            raise

    def _upload_url(self, release: Mapping[str, Any]) -> str:
        """Where files go: a template (RFC 6570) that the API gives; the token must not go just anywhere."""
        url = re.sub(r"\{.*\}$", "", str(release.get("upload_url") or ""))
        ours, theirs = urllib.parse.urlsplit(self._api), split_address(url)
        domain = (ours.hostname or "").partition(".")[2] or ours.hostname
        near = theirs.netloc == ours.netloc or (theirs.hostname or "").endswith(f".{domain}")
        if theirs.scheme != ours.scheme or not near:
            raise Failure(f"names a foreign place for uploads: {url[:80]!r}")
        return url

    def _check(self, release: Mapping[str, Any], v: str, work: _Work) -> None:
        """See that all is there, and in a draft nothing else of the kernel release than what SHA256SUMS has."""
        there = self._assets(release)
        for asset in work.assets:
            if not self._has(there, asset):
                raise Failure(f"took {asset.name} and has something else")
        if work.public:
            return
        others = {name for name in there if f"{v}-" in name} | set(work.kept)
        others -= {asset.name for asset in work.assets}
        unlike = sorted(name for name in others if not self._is_kept(there.get(name), name, work.kept))
        if unlike:
            raise Failure(
                f"it stays a draft: {', '.join(unlike)[:300]} in it is not what {SUMS} says "
                "(publish the other architecture as well; of this one, --overwrite removes it)"
            )

    def _is_kept(self, there: Mapping[str, Any] | None, name: str, kept: Mapping[str, str]) -> bool:
        if there is None or name not in kept:
            return False
        blob = Blob(digest=f"sha256:{kept[name]}", size=_number(there, "size"))
        return self._right(there, Asset(name=name, blob=blob))

    def _set_draft(self, release: Mapping[str, Any], draft: bool) -> dict[str, Any]:
        """Hide a release, or publish it."""
        changed = self._json("PATCH", self._own(release), (200,), {"draft": draft})
        if not isinstance(changed, dict) or changed.get("draft") is not draft:
            raise Failure("did not make it a draft" if draft else "did not publish the draft")
        return changed

    def _json(self, method: str, url: str, expect: tuple[int, ...], fields: Mapping[str, Any] | None = None) -> Any:
        body = json.dumps(fields).encode() if fields else None

        def attempt() -> Answer:
            return self._http.request(method, url, expect=expect, headers=self._headers, body=body)

        answer = attempt() if method == "POST" else self._http.patiently(attempt)
        try:
            return parse_json(answer.body)
        except ValueError as error:
            raise Failure("gives no JSON") from error


def _number(thing: Mapping[str, Any], what: str = "id") -> int:
    found = thing.get(what)
    if not isinstance(found, int):
        raise Failure(f"gives a thing without its {what}")
    return found
