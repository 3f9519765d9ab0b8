"""A release of GitHub: a draft first, then its files, then a look at what arrived, and only then is it published.

Source: GitHub's REST API, "Releases" and "Release assets" (version 2022-11-28). One release has the files of all
architectures of a kernel release: files whose names do not say so get V and A into them. The token goes in a header to
the API's host, and to the host that the API names for uploads, and is never shown.
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
from builder.publish.http import Answer, Body, Failure, Http
from builder.publish.sources import Release
from builder.publish.transfer import Outcome, State, Watch

_PAGE = 100
_MOST_PAGES = 50


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
    """The files of a kernel release, and last a SHA256SUMS that has them by the names that they have there."""
    found: dict[str, Asset] = {}
    for release in releases:
        for file in release.files:
            name = asset_name(file.name, release.v, release.a)
            found[name] = Asset(name=name, blob=file.blob)
    lines = "".join(f"{asset.blob.digest.removeprefix('sha256:')}  {name}\n" for name, asset in sorted(found.items()))
    data = lines.encode()
    return [*found.values(), Asset(name=SUMS, blob=Blob(digest=digest_of(data), size=len(data), data=data))]


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
        return [self._one(v, assets_of(group), overwrite, dry_run, watch) for v, group in groups.items()]

    def _one(self, v: str, assets: Sequence[Asset], overwrite: bool, dry_run: bool, watch: Watch) -> Outcome:
        def outcome(state: State, why: str = "", url: str = "") -> Outcome:
            reference = url or f"{self.name} {v}"
            return Outcome(target=self.name, reference=reference, digest=assets[-1].blob.digest, state=state, why=why)

        try:
            found = self._find(v)
            there = self._assets(found) if found else {}
            wrong = {
                asset.name for asset in assets if asset.name in there and not self._right(there[asset.name], asset)
            }
            missing = [asset for asset in assets if asset.name not in there or asset.name in wrong]
            public = found is not None and not found.get("draft")
            if public and not missing:
                return outcome(State.THERE, url=str((found and found.get("html_url")) or ""))
            if public and wrong and not overwrite:
                return outcome(State.REFUSED, f"it has another {', '.join(sorted(wrong))} (--overwrite replaces it)")
            if dry_run:
                return outcome(State.WOULD)
            release = found or self._create(v)
            watch.begin(self.name, sum(asset.blob.size for asset in missing), f"{len(missing)} files")
            for name in wrong:
                self._delete(there[name])
            for asset in missing:
                self._http.patiently(partial(self._upload, release, asset, watch))
            self._check(release, assets)
            url = str(release.get("html_url") or "") if public else self._show(release)
        except Failure as failure:
            return outcome(State.FAILED, str(failure))
        return outcome(State.SENT, url=url)

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
        ours, theirs = urllib.parse.urlsplit(self._api), urllib.parse.urlsplit(url)
        domain = (ours.hostname or "").partition(".")[2] or ours.hostname
        near = theirs.netloc == ours.netloc or (theirs.hostname or "").endswith(f".{domain}")
        if theirs.scheme != ours.scheme or not near:
            raise Failure(f"names a foreign place for uploads: {url[:80]!r}")
        return url

    def _check(self, release: Mapping[str, Any], assets: Sequence[Asset]) -> None:
        there = self._assets(release)
        for asset in assets:
            if asset.name not in there or not self._right(there[asset.name], asset):
                raise Failure(f"took {asset.name} and has something else")

    def _show(self, release: Mapping[str, Any]) -> str:
        shown = self._json("PATCH", self._own(release), (200,), {"draft": False})
        if not isinstance(shown, dict) or shown.get("draft") is not False:
            raise Failure("did not publish the draft")
        return str(shown.get("html_url") or "")

    def _json(self, method: str, url: str, expect: tuple[int, ...], fields: Mapping[str, Any] | None = None) -> Any:
        body = json.dumps(fields).encode() if fields else None

        def attempt() -> Answer:
            return self._http.request(method, url, expect=expect, headers=self._headers, body=body)

        # A second POST could make a second draft.
        answer = attempt() if method == "POST" else self._http.patiently(attempt)
        try:
            return parse_json(answer.body)
        except ValueError as error:
            raise Failure("gives no JSON") from error


def _number(thing: Mapping[str, Any]) -> int:
    found = thing.get("id")
    if not isinstance(found, int):
        raise Failure("gives a thing without its number")
    return found
