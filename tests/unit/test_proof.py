"""What a release has to pass, what becomes of one that does not, and what is kept beside one that is there."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder import release
from builder.errors import InterruptedBuild, VerifyError
from builder.lookout import Lookout
from builder.proof import Ahead, check_release
from builder.releasefolder import find_release
from builder.report import kept
from builder.summing import Sums
from builder.verify.model import CHECKS, Check, Finding, verdict
from builder.verify.run import examine
from builder.verify.subject import Subject
from tests.unit.verify.releases import V
from tests.unit.verify.releases import release as write_release


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    root = write_release(tmp_path / "dist", kernel={"./boot/config": b"x"})
    (root / "kernel/config").write_text("CONFIG_64BIT=y\n")
    (root / release.MANIFEST).write_text("{}")
    return root


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Sets what is wrong with a release; no check is done but that."""
    for name in list(CHECKS):
        monkeypatch.delitem(CHECKS, name)

    def given(wrong: list[str]) -> None:
        def run_it(_subject: Subject) -> Finding:
            return verdict("all of it", wrong)

        monkeypatch.setitem(CHECKS, "it", Check(name="it", meaning="a machine without it", cheap=True, run=run_it))

    return given


def test_a_release_that_passes(dist: Path, checks: Callable[[list[str]], None]) -> None:
    checks([])
    check_release(dist, dist, code="1")
    verified = json.loads((dist / release.VERIFY).read_text())
    assert verified["manifest"] == release.describe(dist / release.MANIFEST)["sha256"]
    assert (dist / release.REPORT).stat().st_size > 0
    assert not (dist / release.REJECTED).exists()


@pytest.mark.host_programs
def test_what_was_looked_at_ahead_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But what was said of it then counts for nothing: the manifest was not there yet."""
    root = write_release(tmp_path / "dist", kernel={"./boot/config": b"x"}, extras={}, headers={"./Makefile": b"all:"})
    ahead = Ahead()
    ahead.look(root)
    assert ahead.subject is not None
    (root / "kernel/config").write_text("CONFIG_64BIT=y\n")
    (root / release.MANIFEST).write_text(json.dumps({"release": V, "source": {"kernel_version": "6.1"}}))
    (root / release.SUMS).write_text("0  kernel/config\n")
    with monkeypatch.context() as patch:
        patch.setattr("builder.verify.subject.read_package", _failing(AssertionError("it is read again")))
        found = examine(root, cheap=True, ahead=ahead.subject)
    anew = examine(root, cheap=True)
    assert [(each.check.name, each.finding) for each in found.results] == [
        (each.check.name, each.finding) for each in anew.results
    ]
    assert found.release == anew.release
    work = ahead.subject.work
    ahead.close()
    assert not work.exists() and ahead.subject is None


@pytest.mark.host_programs
def test_another_look_takes_the_place_of_the_first(tmp_path: Path) -> None:
    ahead = Ahead()
    for text in (b"first", b"second"):
        ahead.look(write_release(tmp_path / "dist", kernel={"./boot/config": text}))
    assert ahead.subject is not None
    assert (ahead.subject.tree("kernel") / "boot/config").read_bytes() == b"second"
    ahead.close()


@pytest.mark.host_programs
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_looked_at_counts_while_it_is_there(tmp_path: Path, gone: bool) -> None:
    ahead = Ahead()
    root = write_release(tmp_path / "dist", kernel={"./boot/config": b"first"})
    ahead.look(root)
    assert ahead.subject is not None
    package = find_release(root).packages["kernel"]
    package.unlink()
    if not gone:
        write_release(root, kernel={"./boot/config": b"other"})
    assert ahead.subject is None
    ahead.close()


def test_looking_ahead_at_what_is_no_release_finds_nothing(tmp_path: Path) -> None:
    ahead = Ahead()
    ahead.look(tmp_path)
    assert ahead.subject is None


@pytest.mark.host_programs
def test_a_lookout_completes_a_release_from_the_one_before(tmp_path: Path) -> None:
    dist = write_release(
        tmp_path / "dist", kernel={"./boot/config": b"old"}, extras={}, headers={"./Makefile": b"all:"}
    )
    new = write_release(tmp_path / "new", kernel={"./boot/config": b"new"})
    for kind, path in find_release(dist).packages.items():
        made = find_release(new).packages["kernel"] if kind == "kernel" else path
        described = {"name": path.name, **release.describe(made)}
        (new / "reports/sums").mkdir(parents=True, exist_ok=True)
        (new / f"reports/sums/{kind}.json").write_text(json.dumps(described))
    with Lookout(dist, new, Sums(), "1") as lookout:
        assert lookout.subject is None
        lookout.look()
        assert lookout.subject is not None
        assert set(lookout.subject.packages) == {"kernel", "extras", "headers"}
        assert (lookout.subject.tree("kernel") / "boot/config").read_bytes() == b"new"
        (new / "reports/sums/headers.json").write_text(json.dumps({"name": "other", "size": 1, "sha256": ""}))
        lookout.look()
        assert lookout.subject is None  # that one has to be fetched first


def test_a_release_whose_report_cannot_be_made_either(dist: Path, checks: Callable[[list[str]], None]) -> None:
    """What is said is what the checks saw, and what was built is there to be looked at."""
    checks(["a line"])
    (dist / "kernel/config").write_text("no config\n")
    (dist / release.REJECTED).mkdir()
    (dist / release.REJECTED / "of an earlier build").touch()
    with release.staging(dist) as folder:
        (dist / "kernel").rename(folder / "kernel")
        (dist / release.MANIFEST).rename(folder / release.MANIFEST)
        with pytest.raises(VerifyError, match="does not pass 1 of 1") as caught:
            check_release(folder, dist, code="1")
    assert caught.value.details == ("it: all of it; wrong: 1", "  a line", "  it means: a machine without it")
    names = {path.name for path in (dist / release.REJECTED).iterdir()}
    assert names == {"kernel", release.MANIFEST, release.VERIFY}


def _failing(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_full_disk_leaves_no_half_of_a_result(dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dist / release.BUILD).write_text("{}")
    monkeypatch.setattr(Path, "replace", _failing(OSError(errno.ENOSPC, "No space left on device")))
    before = {path.name for path in dist.iterdir()}
    kept.keep_result(find_release(dist), release.VERIFY, {"checks": []})
    assert {path.name for path in dist.iterdir()} == before


def test_ctrl_c_while_a_result_is_kept(dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dist / release.BUILD).write_text("{}")
    monkeypatch.setattr(kept, "write_report", _failing(InterruptedBuild("stopped")))
    with pytest.raises(InterruptedBuild):
        kept.keep_result(find_release(dist), release.VERIFY, {"checks": []})


def test_a_release_that_has_taken_its_place_keeps_nothing(dist: Path) -> None:
    (dist / release.BUILD).write_text("{}")
    looked_at = find_release(dist)
    (dist / release.MANIFEST).write_text('{"release": "another"}')
    kept.keep_result(looked_at, release.VERIFY, {"checks": []})
    assert not (dist / release.VERIFY).exists()
