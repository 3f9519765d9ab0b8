"""The files of a release are taken as soon as the solve has written them, and are those of the last solve."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from builder.arrivals import Arrivals
from builder.errors import RoskError
from builder.graph import Context
from builder.inputs.store import file_sha256
from builder.joint import Member
from builder.solver import unpack
from builder.summing import Sums

ONE, OTHER = "generic-x86", "cloud-x86"


def member(folder: Path, name: str) -> Member:
    builder: Any = SimpleNamespace(project=SimpleNamespace(name=name), folder=folder / name)
    builder.folder.mkdir()
    return Member(builder=builder, context=Context(folder=folder, dockerfile=folder))


def export(to: Member, text: str) -> None:
    """Write what a solve exports."""
    source = to.tar.with_suffix(".files")
    (source / "kernel").mkdir(parents=True)
    (source / "kernel/config").write_text(text)
    with tarfile.open(to.tar, "w") as tar:
        tar.add(source / "kernel", "kernel")
    (source / "kernel/config").unlink()
    (source / "kernel").rmdir()


def config(of: Member) -> str:
    return (of.builder.folder / "kernel/config").read_text()


@pytest.fixture
def told() -> list[str]:
    """The kernels whose files have arrived."""
    return []


@pytest.fixture
def one(tmp_path: Path) -> Member:
    return member(tmp_path, ONE)


@pytest.fixture
def arrivals(one: Member, told: list[str]) -> Iterator[Arrivals]:
    with Arrivals([one], {}, told.append, Sums()) as found:
        yield found


def wait(arrivals: Arrivals, target: str = "release") -> BaseException | None:
    """What came of the last archive of a target that was taken ahead."""
    return arrivals._takes[target]._taken[-1][1].exception()


def test_what_is_taken_ahead_is_not_taken_again(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    export(one, "first")
    arrivals.exported("os-kernel")
    arrivals.exported("release")
    arrivals.take_all()
    assert (config(one), told) == ("first", [ONE])
    assert list(one.tar.parent.glob("release.tar*")) == []


def test_what_is_not_told_of_is_taken_at_the_end(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    """There is nothing to look at ahead of the checks then."""
    export(one, "first")
    arrivals.take_all()
    assert (config(one), told) == ("first", [])


@pytest.mark.parametrize("late", [False, True])
def test_the_last_solve_counts(arrivals: Arrivals, one: Member, told: list[str], late: bool) -> None:
    for text in ("first", "second"):
        export(one, text)
        arrivals.exported("release")
        if not late:
            assert wait(arrivals) is None
    arrivals.take_all()
    assert (config(one), told) == ("second", [ONE, ONE])


def test_a_second_solve_that_tells_nothing_counts_too(arrivals: Arrivals, one: Member) -> None:
    export(one, "first")
    arrivals.exported("release")
    export(one, "second")
    assert wait(arrivals) is None
    arrivals.take_all()
    assert config(one) == "second"


def test_an_archive_is_not_taken_from_the_next_solve(one: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    """BuildKit may fail after an export; the next solve writes the same archive while the first is being taken."""
    begun, go_on = Event(), Event()

    def slowly(tar: Path, folder: Path) -> None:
        begun.set()
        assert go_on.wait(10)
        unpack(tar, folder)

    monkeypatch.setattr("builder.joint.unpack", slowly)
    with Arrivals([one], {}, lambda _name: None, Sums()) as arrivals:
        export(one, "first")
        arrivals.exported("release")
        assert begun.wait(10)
        export(one, "second")
        go_on.set()
        assert wait(arrivals) is None
        assert one.tar.exists()
        arrivals.exported("release")
        arrivals.take_all()
    assert config(one) == "second"


def test_half_an_archive_is_an_error(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    one.tar.write_bytes(b"half")
    arrivals.exported("release")
    assert wait(arrivals) is not None
    with pytest.raises(tarfile.ReadError):
        arrivals.take_all()
    export(one, "whole")
    arrivals.take_all()
    assert (config(one), told) == ("whole", [])


def test_what_fails_while_it_is_looked_at_is_there(one: Member) -> None:
    def fail(_name: str) -> None:
        raise ValueError

    with Arrivals([one], {}, fail, Sums()) as arrivals:
        export(one, "first")
        arrivals.exported("release")
        assert wait(arrivals) is None
        arrivals.take_all()
    assert config(one) == "first"


def test_what_is_wrong_at_the_end_is_an_error(arrivals: Arrivals, told: list[str]) -> None:
    arrivals.exported("release")
    with pytest.raises((OSError, RoskError)):
        arrivals.take_all()
    assert told == []


def test_a_source_package_comes_apart(
    tmp_path: Path, one: Member, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is summed up there and then, not by the name that it is given later."""
    sums = Sums()
    with Arrivals([one], {ONE: None}, told.append, sums) as arrivals:
        (tmp_path / "packed").mkdir()
        (tmp_path / "packed/a.tgz").write_text("source")
        with tarfile.open(one.package("source"), "w") as tar:
            tar.add(tmp_path / "packed", ".")
        arrivals.exported("source-file")
        assert wait(arrivals, "source-file") is None
        assert ((one.source / "a.tgz").read_text(), told) == ("source", [])
        export(one, "first")
        arrivals.take_all()
    assert (config(one), (one.source / "a.tgz").read_text()) == ("first", "source")
    package = (one.source / "a.tgz").rename(tmp_path / "b.tgz")
    digest = file_sha256(package)
    monkeypatch.delattr("builder.summing.file_sha256")
    assert sums.sha256(package) == digest


def test_each_of_several_has_its_own(tmp_path: Path, told: list[str]) -> None:
    members = [member(tmp_path, name) for name in (ONE, OTHER)]
    with Arrivals(members, {}, told.append, Sums()) as arrivals:
        for each in members:
            export(each, each.name)
        arrivals.exported("release")
        arrivals.exported(f"{OTHER}_release")
        assert (wait(arrivals, f"{OTHER}_release"), told) == (None, [OTHER])
        arrivals.take_all()
    assert [config(each) for each in members] == [ONE, OTHER]
