"""The files of a release are taken as soon as the solve has written them, and are those of the last solve."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builder.errors import RoskError
from builder.graph import Context
from builder.joint import Arrivals, Member

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
    with Arrivals([one], {}, told.append) as found:
        yield found


def test_what_is_taken_ahead_is_not_taken_again(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    export(one, "first")
    arrivals.exported("os-kernel")
    arrivals.exported("release")
    arrivals.take_all()
    assert (config(one), told, one.tar.exists()) == ("first", [ONE], False)


def test_what_is_not_told_of_is_taken_at_the_end(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    export(one, "first")
    arrivals.take_all()
    assert (config(one), told) == ("first", [ONE])


def test_the_last_solve_counts(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    for text in ("first", "second"):
        export(one, text)
        arrivals.exported("release")
        if text == "first":
            arrivals._taken["release"].result()
    arrivals.take_all()
    assert (config(one), told) == ("second", [ONE, ONE])


def test_half_an_archive_is_taken_again_when_it_is_whole(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    one.tar.write_bytes(b"half")
    arrivals.exported("release")
    assert arrivals._taken["release"].exception() is not None
    export(one, "whole")
    arrivals.take_all()
    assert (config(one), told) == ("whole", [ONE])


def test_what_is_wrong_at_the_end_is_an_error(arrivals: Arrivals, one: Member, told: list[str]) -> None:
    arrivals.exported("release")
    with pytest.raises((OSError, RoskError)):
        arrivals.take_all()
    assert told == []


def test_a_source_package_comes_apart(tmp_path: Path, one: Member, told: list[str]) -> None:
    with Arrivals([one], {ONE: None}, told.append) as arrivals:
        (tmp_path / "packed").mkdir()
        (tmp_path / "packed/a.tgz").write_text("source")
        with tarfile.open(one.package("source"), "w") as tar:
            tar.add(tmp_path / "packed", ".")
        arrivals.exported("source-file")
        arrivals._taken["source-file"].result()
        assert ((one.source / "a.tgz").read_text(), told) == ("source", [])
        export(one, "first")
        arrivals.take_all()
    assert (config(one), (one.source / "a.tgz").read_text(), told) == ("first", "source", [ONE])


def test_each_of_several_has_its_own(tmp_path: Path, told: list[str]) -> None:
    members = [member(tmp_path, name) for name in (ONE, OTHER)]
    with Arrivals(members, {}, told.append) as arrivals:
        for each in members:
            export(each, each.name)
        arrivals.exported("release")
        arrivals.exported(f"{OTHER}_release")
        arrivals._taken[f"{OTHER}_release"].result()
        assert told == [OTHER]
        arrivals.take_all()
    assert [config(each) for each in members] == [ONE, OTHER]
    assert told == [OTHER, ONE]
