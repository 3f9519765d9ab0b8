"""The files of a release in folders, on servers, and at GitHub."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.publish import spots
from builder.publish.artifact import read_sums, release_files
from builder.publish.http import Http
from builder.publish.sources import Bundle, Release
from builder.publish.targets.folder import FolderTarget
from builder.publish.targets.github import GithubTarget, asset_name, assets_of
from builder.publish.targets.webdav import HttpTarget
from builder.publish.transfer import Outcome, State
from builder.releasefolder import find_release
from builder.settings import Settings
from tests.conftest import ROOT, run_rosk
from tests.faultproxy import Fault, fault_proxy
from tests.publish.material import HURRY, VERSION, Watch, make_bundle, make_dist, send
from tests.publish.servers import Dav, dav, github

MINIMAL = {"org": "acme", "kernel": {"version": "6.12"}}


def release_of(dist: Path) -> Release:
    folder = find_release(dist)
    return Release(folder=folder, files=release_files(folder))


@pytest.fixture
def release(org: str, tmp_path: Path) -> Release:
    return release_of(make_dist(tmp_path / "dist", org))


@pytest.fixture
def changed(org: str, tmp_path: Path) -> Release:
    """Another release of the same name."""
    return release_of(make_dist(tmp_path / "changed", org, seed=2))


def wanted(*releases: Release) -> dict[str, bytes]:
    """The files of releases as they are to be, below folders V-A."""
    return {f"{each.v}-{each.a}/{file.name}": file.file.read_bytes() for each in releases for file in each.files}


def found(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def to_folder(folder: Path, *releases: Release, overwrite: bool = False, dry_run: bool = False) -> list[Outcome]:
    return FolderTarget(folder).publish(releases, overwrite=overwrite, dry_run=dry_run, watch=Watch())


def test_a_folder_gets_a_release_as_a_whole(release: Release, changed: Release, tmp_path: Path) -> None:
    place = tmp_path / "releases"
    assert [each.state for each in to_folder(place, release, dry_run=True)] == [State.WOULD]
    assert not place.exists()
    assert [each.state for each in to_folder(place, release)] == [State.SENT]
    assert found(place) == wanted(release)
    assert [each.state for each in to_folder(place, release)] == [State.THERE]
    assert [each.state for each in to_folder(place, changed)] == [State.REFUSED]
    assert found(place) == wanted(release)
    assert [each.state for each in to_folder(place, changed, overwrite=True)] == [State.SENT]
    assert found(place) == wanted(changed)


def test_a_folder_that_cannot_be_written(release: Release, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (outcome,) = to_folder(tmp_path / "file" / "below", release)
    assert (outcome.state, "file" in outcome.why) == (State.FAILED, True)


def test_a_copy_that_breaks_leaves_the_release_before(release: Release, changed: Release, tmp_path: Path) -> None:
    place = tmp_path / "releases"
    to_folder(place, release)
    changed.files[0].file.unlink()
    (outcome,) = to_folder(place, changed, overwrite=True)
    assert outcome.state is State.FAILED
    assert found(place) == wanted(release)


def to_server(url: str, *releases: Release, authorization: str = "", overwrite: bool = False) -> list[Outcome]:
    target = HttpTarget(url, Http(patience=HURRY), authorization=authorization)
    return target.publish(releases, overwrite=overwrite, dry_run=False, watch=Watch())


def puts(state: Dav) -> list[str]:
    return [path for method, path in state.requests if method == "PUT"]


@pytest.mark.parametrize("webdav", [True, False])
def test_a_server_gets_a_release(webdav: bool, release: Release, changed: Release, tmp_path: Path) -> None:
    with dav(tmp_path / "server", webdav=webdav) as (url, state):
        assert [each.state for each in to_server(f"{url}/kernels/", release)] == [State.SENT]
        there = {f"kernels/{name}": data for name, data in wanted(release).items()}
        assert state.files() == there
        assert puts(state)[-1].rpartition("/")[2].strip(".").removesuffix(".part") == "SHA256SUMS"
        assert any(method == "MOVE" for method, _ in state.requests)
        state.requests.clear()
        assert [each.state for each in to_server(f"{url}/kernels", release)] == [State.THERE]
        assert not puts(state)
        assert [each.state for each in to_server(f"{url}/kernels", changed)] == [State.REFUSED]
        assert state.files() == there
        assert [each.state for each in to_server(f"{url}/kernels", changed, overwrite=True)] == [State.SENT]
        assert state.files() == {f"kernels/{name}": data for name, data in wanted(changed).items()}


@pytest.mark.parametrize("webdav", [True, False])
def test_a_server_that_keeps_something_else(webdav: bool, release: Release, tmp_path: Path) -> None:
    """What is read back decides: without SHA256SUMS nobody takes it for a release."""
    with dav(tmp_path / "server", webdav=webdav, damage="config") as (url, state):
        (outcome,) = to_server(url, release)
        assert (outcome.state, "config" in outcome.why) == (State.FAILED, True)
        assert not [name for name in state.files() if name.endswith("SHA256SUMS")]
        state.damage = ""
        before = len(puts(state))
        assert [each.state for each in to_server(url, release)] == [State.SENT]
        assert state.files().items() >= wanted(release).items()
        assert before > 0


@pytest.mark.parametrize("kind", ["cut", "lost", "garbage", "500", "refused"])
def test_faults_on_the_way_to_a_server(kind: str, release: Release, tmp_path: Path) -> None:
    def source(method: str, path: str) -> bool:
        return method == "PUT" and "-src.tgz" in path

    with dav(tmp_path / "server") as (url, state), fault_proxy(url.removeprefix("http://")) as proxy:
        proxy.faults.append(Fault(kind, source, after=5_000))
        (outcome,) = to_server(f"http://{proxy.host}", release)
        assert outcome.state is State.FAILED
        assert not [name for name in state.files() if name.endswith("SHA256SUMS")]
        proxy.faults = [Fault(kind, source, after=5_000, times=1)]
        proxy.seen.clear()
        assert [each.state for each in to_server(f"http://{proxy.host}", release)] == [State.SENT]
        assert state.files().items() >= wanted(release).items()
        # What had arrived is not sent again.
        assert not [each for each in proxy.sent("PUT") if "/kernel/" in each.path and "src.tgz" not in each.path][3:]


def test_a_file_that_was_moved_and_nobody_heard_of_it(release: Release, tmp_path: Path) -> None:
    """The second MOVE finds nothing to move: that is no reason to send the file over what is there."""
    lost = Fault("lost", lambda method, path: method == "MOVE" and "config" in path, times=1)
    with dav(tmp_path / "server") as (url, state), fault_proxy(url.removeprefix("http://"), lost) as proxy:
        assert [each.state for each in to_server(f"http://{proxy.host}", release)] == [State.SENT]
        assert not lost.times
        assert state.files() == wanted(release)
        assert len(puts(state)) == len(release.files)
        assert all(path.endswith(".part") for path in puts(state))


def test_a_server_with_a_password(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAV_PASSWORD", "s3cret")
    with dav(tmp_path / "server", authorization="Basic bWlyYTpzM2NyZXQ=") as (url, state):
        settings = {"url": url, "user": "mira", "password_env": "DAV_PASSWORD"}
        where = spots.of_settings(Settings.model_validate({**MINIMAL, "publish": {"http": [settings]}}), tmp_path)
        bundle = Bundle(releases=[release])
        assert [each.state for each in send(bundle, http=where.http)] == [State.SENT]
        assert state.files() == wanted(release)
        monkeypatch.setenv("DAV_PASSWORD", "wrong")
        (outcome,) = send(bundle, http=where.http)
        assert (outcome.state, "401" in outcome.why, "wrong" in outcome.why) == (State.FAILED, True, False)
        monkeypatch.delenv("DAV_PASSWORD")
        with pytest.raises(InputError, match="DAV_PASSWORD"):
            send(bundle, http=where.http)


TOKEN = "ghp_secretsecretsecret"


def to_github(api: str, *releases: Release, overwrite: bool = False, token: str = TOKEN) -> Outcome:
    target = GithubTarget("acme/kernels", Http(patience=HURRY), api=api, token=token)
    (outcome,) = target.publish(releases, overwrite=overwrite, dry_run=False, watch=Watch())
    assert TOKEN not in str(outcome)
    return outcome


def test_github_gets_a_release_of_all_architectures(release: Release, org: str, tmp_path: Path) -> None:
    other = release_of(make_dist(tmp_path / "arm64", org, "arm64"))
    v = f"{VERSION}-{org}"
    with github("acme/kernels", TOKEN) as (api, state):
        outcome = to_github(api, release, other)
        assert (outcome.state, outcome.reference) == (
            State.SENT,
            f"https://github.example/acme/kernels/releases/{v}",
        )
        files = state.files(v)
        assert {f"linux-{v}-x86.tar.gz", f"config-{v}-arm64", f"manifest-{v}-x86.json", f"SHA256SUMS-{v}-x86"} <= set(
            files
        )
        sums = set(files.pop("SHA256SUMS").decode().splitlines())
        assert sums == {f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in files.items()}
        order = [what for what, path in state.requests if what in ("POST", "PATCH")]
        assert order == ["POST"] * (2 + len(files)) + ["PATCH"]
        state.requests.clear()
        assert to_github(api, release, other).state is State.THERE
        assert {method for method, _ in state.requests} == {"GET"}


def test_github_shows_nothing_before_all_is_there(release: Release) -> None:
    v = release.v
    with github("acme/kernels", TOKEN) as (api, state):
        state.fail = [f"config-{v}-x86"] * 9
        outcome = to_github(api, release)
        assert (outcome.state, "502" in outcome.why) == (State.FAILED, True)
        (draft,) = state.releases.values()
        assert draft["draft"]
        sent = len(state.files(v))
        state.fail = [f"config-{v}-x86", "publish"]
        state.requests.clear()
        assert to_github(api, release).state is State.SENT
        assert len(state.releases) == 1
        assert not draft["draft"]
        uploads = [path for method, path in state.requests if method == "POST"]
        assert len(uploads) == len(state.files(v)) - sent + 1  # the one that failed was sent twice


def summed(files: dict[str, bytes]) -> bool:
    """SHA256SUMS has all other files as they are, and nothing else."""
    lines = {f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in files.items() if name != "SHA256SUMS"}
    return set(files["SHA256SUMS"].decode().splitlines()) == lines


@pytest.mark.parametrize("digests", [True, False])
def test_github_gets_architectures_one_after_another(
    digests: bool, release: Release, changed: Release, org: str, tmp_path: Path
) -> None:
    other = release_of(make_dist(tmp_path / "arm64", org, "arm64"))
    v = release.v
    with github("acme/kernels", TOKEN) as (api, state):
        state.digests = digests
        to_github(api, release)
        assert to_github(api, other).state is State.SENT
        assert {f"config-{v}-x86", f"config-{v}-arm64"} <= set(state.files(v))
        assert summed(state.files(v))
        assert to_github(api, release).state is to_github(api, release, other).state is State.THERE
        assert to_github(api, changed).state is State.REFUSED
        assert to_github(api, changed, overwrite=True).state is State.SENT
        assert summed(state.files(v))
        assert f"config-{v}-arm64" in state.files(v)
        assert not any(each["draft"] for each in state.releases.values())


@pytest.mark.parametrize("digests", [True, False])
def test_github_does_not_show_what_another_upload_has_left(
    digests: bool, release: Release, org: str, tmp_path: Path
) -> None:
    other = release_of(make_dist(tmp_path / "arm64", org, "arm64"))
    v = release.v
    with github("acme/kernels", TOKEN) as (api, state):
        state.digests = digests
        state.fail = [f"config-{v}-x86"] * 9
        assert to_github(api, release).state is State.FAILED
        (draft,) = state.releases.values()
        outcome = to_github(api, other)
        assert (outcome.state, f"build-linux-{v}-x86.tar.gz" in outcome.why) == (State.FAILED, True)
        assert draft["draft"]
        state.fail.clear()
        assert to_github(api, release).state is State.SENT
        assert summed(state.files(v))
        assert not draft["draft"]
        assert to_github(api, other).state is State.THERE


def test_github_hides_what_is_replaced_until_all_is_there(release: Release, changed: Release) -> None:
    v = release.v
    with github("acme/kernels", TOKEN) as (api, state):
        (release.folder.root / "SHA256SUMS.sig").write_text("of what is replaced\n")
        to_github(api, release_of(release.folder.root))
        (shown,) = state.releases.values()
        state.fail = [f"config-{v}-x86"] * 9 + ["publish"]  # the first PATCH fails once, too
        assert to_github(api, changed, overwrite=True).state is State.FAILED
        assert shown["draft"]
        state.fail.clear()
        assert to_github(api, changed).state is State.SENT
        assert not shown["draft"]
        assert f"SHA256SUMS-{v}-x86.sig" not in state.files(v)
        assert summed(state.files(v))


def test_github_shows_no_release_of_which_a_replacement_broke(
    release: Release, changed: Release, org: str, tmp_path: Path
) -> None:
    """Of the other architecture: SHA256SUMS still says what was there."""
    other = release_of(make_dist(tmp_path / "arm64", org, "arm64"))
    v = release.v
    with github("acme/kernels", TOKEN) as (api, state):
        to_github(api, release, other)
        (shown,) = state.releases.values()
        state.fail = [f"config-{v}-x86"] * 9
        assert to_github(api, changed, overwrite=True).state is State.FAILED
        state.fail.clear()
        outcome = to_github(api, other)
        assert (outcome.state, f"config-{v}-x86" in outcome.why) == (State.FAILED, True)
        assert shown["draft"]
        assert to_github(api, changed).state is State.SENT
        assert summed(state.files(v))
        assert not shown["draft"]


@pytest.mark.parametrize("fault", ["create", "answer"])
def test_github_makes_one_draft(fault: str, release: Release) -> None:
    with github("acme/kernels", TOKEN) as (api, state):
        state.fail = [fault]
        assert to_github(api, release).state is State.SENT
        assert len(state.releases) == 1
        assert not state.fail


@pytest.mark.parametrize("digests", [True, False])
def test_github_has_another_file(digests: bool, release: Release, changed: Release) -> None:
    """With digests of GitHub's, and where an older server gives none: then by the bytes."""
    with github("acme/kernels", TOKEN) as (api, state):
        state.digests = digests
        to_github(api, release)
        before = state.files(release.v)
        outcome = to_github(api, changed)
        assert (outcome.state, "--overwrite" in outcome.why) == (State.REFUSED, True)
        assert state.files(release.v) == before
        assert to_github(api, changed, overwrite=True).state is State.SENT
        assert state.files(release.v)[f"config-{release.v}-x86"] == changed.files[1].file.read_bytes()


def test_the_token_goes_nowhere_else(release: Release) -> None:
    with github("acme/kernels", TOKEN) as (api, state):
        assert "Bad credentials" in to_github(api, release, token="wrong").why
        state.upload_base = "https://elsewhere.example/uploads"
        outcome = to_github(api, release)
        assert (outcome.state, "foreign" in outcome.why) == (State.FAILED, True)
        (release_there,) = state.releases.values()
        release_there["upload_url"] = "http://[x/uploads{?name,label}"
        outcome = to_github(api, release)
        assert (outcome.state, "no good address" in outcome.why) == (State.FAILED, True)


def test_the_signed_list_fits_a_download_from_github_by_hand(release: Release, tmp_path: Path) -> None:
    """As docs/trust.md has it: the signed list has the names of `dist`."""
    (command,) = re.findall(r"^sed -E .*$", (ROOT / "docs/trust.md").read_text(), re.M)
    there, va = tmp_path / "there", f"{release.v}-{release.a}"
    there.mkdir()
    for asset in assets_of([release]):
        (there / asset.name).write_bytes(asset.blob.read())

    def checked() -> tuple[int, set[str]]:
        words = ["bash", "-c", f"set -o pipefail; {command}"]
        done = subprocess.run(words, cwd=there, env={**os.environ, "VA": va}, capture_output=True, text=True)
        return done.returncode, {line.removesuffix(": OK") for line in done.stdout.splitlines() if ": OK" in line}

    listed = {asset_name(name, release.v, release.a) for name in read_sums(release.folder.root / "SHA256SUMS")}
    assert checked() == (0, listed)
    (there / f"config-{va}").write_text("CONFIG_EVIL=y\n")
    assert checked() == (1, listed - {f"config-{va}"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kernel/linux-6.12.1-acme-x86.tar.gz", "linux-6.12.1-acme-x86.tar.gz"),
        ("kernel/config", "config-6.12.1-acme-x86"),
        ("manifest.json", "manifest-6.12.1-acme-x86.json"),
        ("SHA256SUMS.asc", "SHA256SUMS-6.12.1-acme-x86.asc"),
        ("sbom.spdx.json", "sbom-6.12.1-acme-x86.spdx.json"),
    ],
)
def test_names_among_those_of_all_architectures(name: str, expected: str) -> None:
    assert asset_name(name, "6.12.1-acme", "x86") == expected


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["http://files.example/kernels"], "not spoken to by TLS"),
        (["oci:"], "names no folder"),
        (["github:acme"], "no place"),
        (["registry"], "no place"),
        (["https://user:secret@files.example/"], "no place"),
    ],
)
def test_places_that_are_none(words: list[str], what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        spots.of_words(words, None, Path())
    assert "secret@" not in caught.value.hint


def test_places_of_the_settings_and_of_the_command_line(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            **MINIMAL,
            "registries": [{"host": "r.example", "prefix": "a", "ca": "ca.pem", "moving_tags": ["{series}"]}],
            "publish": {"folders": ["../releases"], "github": [{"repository": "acme/k", "token_env": "T"}]},
        }
    )
    found = spots.of_settings(settings, tmp_path)
    assert found.wants_images
    assert found.folders == (tmp_path / "../releases",)
    named = spots.of_words(["r.example/b", "oci:x", "folder:y", "github:acme/k"], settings, tmp_path)
    assert (named.registries[0].prefix, named.registries[0].ca) == ("b", Path("ca.pem"))
    assert (named.layouts, named.folders, named.github[0].token_env) == ((Path("x"),), (Path("y"),), "T")
    assert not spots.of_words(["folder:y"], settings, tmp_path).wants_images


def test_all_kinds_of_places_at_once(org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "release", org)
    outcomes = send(bundle, layouts=(tmp_path / "layout",), folders=(tmp_path / "a", tmp_path / "b"))
    assert [each.state for each in outcomes] == [State.SENT] * 6


@pytest.mark.parametrize("word", ["http://localhost:5000", "https://registry.example/x", "oci:there", "folder:there"])
def test_a_registry_is_no_other_place(word: str, tmp_path: Path) -> None:
    """Who writes a registry as an address would have it taken for a server of files."""
    done = run_rosk("publish", "-C", tmp_path, "--registry", word)
    assert done.code == 3
    assert "is no registry" in done.err
