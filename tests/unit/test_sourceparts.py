"""The source package of a build that is put together of the one before and what is new."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builder import graph
from builder.graph import Context
from builder.joint import Member
from builder.release import BUILD, Sum, holds
from builder.sourceparts import PARTS, REPORT, KnownSource, known_source, put_together, read_parts
from builder.stages import newchunks
from builder.stages.chunkcache import ChunkCache
from builder.stages.pack import pack

NAME = "linux-6.12.99-rosk-x86-src.tgz"
EPOCH = 1_700_000_000

pytestmark = pytest.mark.host_programs


def make_tree(root: Path) -> Path:
    """A tree of some chunks."""
    for number in range(2000):
        path = root / f"{number % 7}/file{number}.c"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"int a{number};\n" * (number % 11))
    return root


class Build:
    """A build in folders of its own: packs the tree as the stages do, and has a release before it."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.cache, self.dist = make_tree(folder / "tree"), folder / "cache", folder / "dist"
        self.folder = folder / "dist/.rosk-new"
        self.pack(self.dist / "kernel" / NAME)
        (self.dist / BUILD).write_text(json.dumps({PARTS: read_parts(self.reports / REPORT)}))

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    def pack(self, out: Path) -> Sum:
        """Pack the tree, and report of what it is made; returns what the package is to be."""
        packed = pack([self.tree], out, epoch=EPOCH, cache=self.cache)
        self.reports.mkdir(parents=True, exist_ok=True)
        (self.reports / REPORT).write_text(json.dumps([part.as_json() for part in packed.parts]))
        return Sum(name=NAME, size=packed.size, sha256=packed.sha256)

    @property
    def known(self) -> KnownSource:
        found = known_source(self.dist, NAME, self.folder / "source-before")
        assert found is not None
        return found

    def bring(self, known: KnownSource) -> Path:
        """Run the stage; returns the folder that it leaves."""
        out = self.folder / "out"
        told = known.tell(self.folder / "known") / "source.json"
        argv: list[str | Path] = [sys.executable, "-m", "builder.stages.newchunks", "--parts", self.reports / REPORT]
        subprocess.run([*argv, "--known", told, "--cache", self.cache, "--out", out], check=True)
        return out


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


def edit(build: Build) -> None:
    (build.tree / "3/file3.c").write_text("int other;\n")


def add_and_remove(build: Build) -> None:
    (build.tree / "0/file0.c").unlink()
    (build.tree / "6/new.c").write_bytes(os.urandom(1 << 12))
    (build.tree / "6/new2.c").write_bytes((build.tree / "6/new.c").read_bytes())


def leave(_build: Build) -> None:
    return


@pytest.mark.parametrize("change", [edit, add_and_remove, leave])
def test_the_package_is_that_of_the_build(build: Build, change: Callable[[Build], None]) -> None:
    change(build)
    whole = build.pack(build.folder / "whole.tgz")
    new = build.bring(build.known)
    assert (new / "chunks").stat().st_size < whole.size / 2
    put_together(build.known, new, build.folder / NAME)
    assert holds(build.folder, whole)
    assert (build.folder / NAME).read_bytes() == (build.folder / "whole.tgz").read_bytes()


def test_equal_chunks_come_once(tmp_path: Path) -> None:
    cache, parts, known = ChunkCache(tmp_path / "cache"), tmp_path / "parts", tmp_path / "known"
    found = [{"key": key, "size": 3, "sha256": hashlib.sha256(data).hexdigest()} for key, data in CHUNKS]
    for key, data in CHUNKS:
        cache.put(key, data)
    parts.write_text(json.dumps(found))
    known.write_text(json.dumps([found[1]["sha256"]]))
    assert newchunks.write_new(parts, known, cache, tmp_path / "chunks")
    assert (tmp_path / "chunks").read_bytes() == b"onetwo"
    (tmp_path / "old").write_bytes(b"old")
    parts.rename(tmp_path / "parts.json")
    before = KnownSource(name=NAME, package=tmp_path / "old", parts=[(3, str(found[1]["sha256"]))])
    put_together(before, tmp_path, tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"oneoldtwoone"


CHUNKS = (("a", b"one"), ("b", b"old"), ("c", b"two"), ("d", b"one"))


def test_a_chunk_that_the_cache_has_lost(build: Build) -> None:
    edit(build)
    build.pack(build.folder / "whole.tgz")
    for path in build.cache.iterdir():
        path.unlink()
    assert list(build.bring(build.known).iterdir()) == []


def lose_build(build: Build) -> None:
    (build.dist / BUILD).unlink()


def forget_parts(build: Build) -> None:
    (build.dist / BUILD).write_text("{}")


def spoil_parts(build: Build) -> None:
    (build.dist / BUILD).write_text(json.dumps({PARTS: [["x", 1], 2]}))


def cut_package(build: Build) -> None:
    os.truncate(build.dist / "kernel" / NAME, 100)


def link_package(build: Build) -> None:
    package = build.dist / "kernel" / NAME
    package.rename(build.dist / "elsewhere")
    package.symlink_to(build.dist / "elsewhere")


@pytest.mark.parametrize("loss", [lose_build, forget_parts, spoil_parts, cut_package, link_package])
def test_a_release_before_that_is_no_help(build: Build, loss: Callable[[Build], None]) -> None:
    loss(build)
    assert known_source(build.dist, NAME, build.folder / "source-before") is None


def test_of_another_name_nothing_is_known(build: Build) -> None:
    assert known_source(build.dist, "linux-6.12.100-rosk-x86-src.tgz", build.folder / "source-before") is None


@pytest.mark.parametrize("gone", ["package", "chunks", "half of the chunks", "parts"])
def test_what_cannot_be_put_together_is_not_there(build: Build, gone: str) -> None:
    add_and_remove(build)
    build.pack(build.folder / "whole.tgz")
    known, new = build.known, build.bring(build.known)
    if gone == "package":
        known.package.unlink()
    elif gone == "chunks":
        (new / "chunks").unlink()
    elif gone == "parts":
        (new / "parts.json").unlink()
    else:
        os.truncate(new / "chunks", (new / "chunks").stat().st_size // 2)
    with pytest.raises((OSError, EOFError)):
        put_together(known, new, build.folder / NAME)
    assert not (build.folder / NAME).exists()


def test_a_release_that_goes_meanwhile(build: Build) -> None:
    edit(build)
    whole = build.pack(build.folder / "whole.tgz")
    known = build.known
    new = build.bring(known)
    (build.dist / "kernel" / NAME).unlink()
    put_together(known, new, build.folder / NAME)
    assert holds(build.folder, whole)


# In a build.


def member(build: Build, *, brings_all: bool = False) -> Member:
    project = SimpleNamespace(
        dist=build.dist, release=lambda _version: "6.12.99-rosk", packages=lambda _r: {"source": NAME}
    )
    engine = SimpleNamespace(brings_all=brings_all)
    builder: Any = SimpleNamespace(project=project, engine=engine, folder=build.folder)
    return Member(builder=builder, context=Context(folder=build.folder, dockerfile=build.folder))


def resolved() -> graph.Resolved:
    return graph.Resolved(kernel_version="6.12.99", epoch=EPOCH, packages={}, base="b", base_digest="d")


def export(to: Member, folder: Path) -> None:
    subprocess.run(["tar", "-cf", to.package("source"), "-C", folder, "."], check=True)


def test_a_member_takes_what_is_new(build: Build) -> None:
    edit(build)
    wanted = build.pack(build.folder / "whole.tgz")
    one = member(build)
    known = one.known(resolved())
    assert known is not None
    export(one, build.bring(known))
    one.take_source(known, one.package("source"))
    assert holds(one.source, wanted)


def test_a_member_lacks_what_did_not_come(build: Build) -> None:
    """It is fetched as a whole then, as any package that is missing."""
    edit(build)
    build.pack(build.folder / "whole.tgz")
    one, known = member(build), build.known
    (build.folder / "nothing").mkdir()
    export(one, build.folder / "nothing")
    one.take_source(known, one.package("source"))
    assert list(one.source.iterdir()) == []


def test_a_member_takes_a_whole_package(build: Build) -> None:
    one = member(build, brings_all=True)
    assert one.known(resolved()) is None
    (build.folder / "whole").mkdir()
    wanted = build.pack(build.folder / "whole" / NAME)
    export(one, build.folder / "whole")
    one.take_source(None, one.package("source"))
    assert holds(one.source, wanted)
