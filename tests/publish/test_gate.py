"""Nothing is published that `rosk verify` fails; what a stranger has found out about a release counts for nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from builder.errors import FetchError, InputError, VerifyError
from builder.publish import gate
from builder.publish.gate import Terms
from builder.release import VERIFY
from builder.releasefolder import find_release
from builder.report.kept import write_kept
from builder.verify.model import CHECKS, Check, Finding, verdict
from builder.verify.run import choose
from builder.verify.subject import Subject
from tests.conftest import run_rosk
from tests.publish.material import make_dist, resum
from tests.publish.test_layouts import carried, publish_files, relay, sign

signs = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


@pytest.fixture
def dist(org: str, tmp_path: Path) -> Path:
    return make_dist(tmp_path / "dist", org)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One check, beside that of who signed: these are no kernels. Gets what it has looked at."""
    for name in CHECKS.keys() - {"signature"}:
        monkeypatch.delitem(CHECKS, name)
    looked: list[str] = []

    def look(subject: Subject) -> Finding:
        config = subject.release.file("config").read_text()
        looked.append(config)
        if "CRASH" in config:
            raise RuntimeError("an error in the check")
        return verdict("the config", ["it is evil"] if "EVIL" in config else [])

    monkeypatch.setitem(CHECKS, "it", Check(name="it", meaning="a machine without it", cheap=True, run=look))
    return looked


def see(dist: Path, terms: Terms | None = None, *, own: bool = True) -> None:
    gate.check(find_release(dist), note=lambda _: None, terms=terms or Terms(), own=own)


def keep(dist: Path, **statuses: str) -> None:
    """Keep what was found of a release, as `rosk verify` does."""
    write_kept(dist, VERIFY, {"checks": [{"name": name, "status": status} for name, status in statuses.items()]})


def configure(dist: Path, config: str) -> None:
    """Change a file of a release, and its SHA256SUMS with it; the manifest stays."""
    (dist / "kernel/config").write_text(config)
    resum(dist)


def test_what_was_found_counts_of_these_bytes_alone(dist: Path, looked: list[str]) -> None:
    keep(dist, it="ok")
    see(dist)
    assert looked == []
    configure(dist, "CONFIG_EVIL=y\n")
    with pytest.raises(VerifyError, match="is not published: it") as caught:
        see(dist)
    assert caught.value.details == ("it: the config; wrong: 1", "  it is evil")


def test_what_failed_once_has_failed(dist: Path, looked: list[str]) -> None:
    keep(dist, it="ok", slow="failed")
    with pytest.raises(VerifyError, match="is not published: slow"):
        see(dist)


def test_what_lies_beside_a_release_from_elsewhere_does_not_count(dist: Path, looked: list[str]) -> None:
    configure(dist, "CONFIG_EVIL=y\n")
    keep(dist, it="ok")
    see(dist)
    with pytest.raises(VerifyError, match="is not published: it"):
        see(dist, own=False)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_check_that_could_not_be_done_is_a_failure(recorded: bool, dist: Path, looked: list[str]) -> None:
    """As of `rosk verify`, unless that is allowed."""
    configure(dist, "CONFIG_CRASH=y\n")
    if recorded:
        keep(dist, it="unchecked")
    with pytest.raises(VerifyError, match="is not published: it") as caught:
        see(dist)
    assert "--allow-unchecked" in caught.value.hint
    see(dist, Terms(allow_unchecked=True))


@signs
def test_a_trusted_key_must_have_signed_it(dist: Path, looked: list[str], org: str, tmp_path: Path) -> None:
    """Whatever was found of that before: of other keys, or of a signature that was not there yet."""
    other = sign(make_dist(tmp_path / "other", org), tmp_path / "other.key")
    keep(dist, it="ok", signature="ok")
    with pytest.raises(VerifyError, match="is not published: signature") as caught:
        see(dist, Terms(keys=(other,)))
    assert caught.value.details == ("signature: it is not signed; wrong: 1", "  there is no signature")
    see(dist, Terms(keys=(other,), allow_unsigned=True))
    ours = sign(dist, tmp_path / "ours.key")
    with pytest.raises(VerifyError, match="is not published: signature"):
        see(dist, Terms(keys=(other,), allow_unsigned=True))
    keep(dist, it="ok", signature="failed")
    see(dist, Terms(keys=(other, ours)))
    see(dist)
    assert looked == []


@signs
def test_the_keys_of_the_settings(dist: Path, org: str, tmp_path: Path) -> None:
    """The release has passed all its checks, and is not signed."""
    other = sign(make_dist(tmp_path / "other", org), tmp_path / "other.key")
    keep(dist, **{each.name: "ok" for each in choose((), cheap=True)})
    project, there = tmp_path / "project", tmp_path / "there"
    (project / "config").mkdir(parents=True)
    settings = f"org: acme\nkernel: {{version: '6.12'}}\ntrust: {{keys: [{other}]}}\n"
    (project / "config/rosk.yaml").write_text(settings)
    words = ("publish", dist, "-C", project, "--to", f"folder:{there}")
    done = run_rosk(*words)
    assert (done.code, there.exists()) == (10, False), done.err
    assert "it is not signed" in done.err
    ours = sign(dist, tmp_path / "ours.key")
    done = run_rosk(*words)
    assert (done.code, there.exists()) == (10, False), done.err
    done = run_rosk(*words, "--key", ours)
    assert (done.code, there.exists()) == (0, True), done.err


def test_a_layout_is_published_as_a_whole(tmp_path: Path) -> None:
    done = run_rosk("publish", "--from", "oci:there", "--arch", "x86", "--to", "localhost:1", "-C", tmp_path)
    assert (done.code, "leave out --arch and --flavour" in done.err) == (3, True), done.err


@pytest.mark.parametrize("name", ["verify.json", "boot.json", "build.json", "report.html"])
def test_what_a_stranger_has_found_out_is_not_taken(name: str, org: str, tmp_path: Path) -> None:
    """With a verdict of whoever made it, say: good, of exactly this manifest."""
    dist = make_dist(tmp_path / "dist", org)
    manifest = hashlib.sha256((dist / "manifest.json").read_bytes()).hexdigest()
    checks = [{"name": each.name, "status": "ok"} for each in choose((), cheap=True)]
    (dist / name).write_text(json.dumps({"manifest": manifest, "checks": checks}))
    with (dist / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}\n")
    layout = Path(publish_files(dist, org).removeprefix("oci:"))
    for attempt, error in (
        (lambda: relay(layout, "localhost:1"), InputError),
        (lambda: carried(layout, tmp_path / "there"), FetchError),
    ):
        with pytest.raises(error, match="not what its SHA256SUMS says") as caught:
            attempt()
        assert caught.value.details == (f"{name} is no file of a release: it is made where that is",)
    assert not (tmp_path / "there").exists()
