"""The files of an archive that is not unpacked are those that unpacking it would give."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

from builder.verify.packed import Packed
from builder.verify.unpack import read_package
from tests.doctor import Archive, write

NAMES = (
    *("a", "b", "c", "a/b", "a/c", "b/a", "b/c", "a/b/c", "c/a", "b/b/b", "c/d/e"),
    *("./a", "a/../b", "../x", "a//b", "/a", "a/./c", "."),
)
TARGETS = (
    *("a", "b", "c", "a/b", "b/c", "c/d", "x", "./a", "/a", "."),
    *("..", "../a", "../..", "a/..", "../b/c", "x/../a", "c/../a", "a/../c/../b"),
)


def packed(tmp_path: Path, archive: Archive) -> Packed:
    write(tmp_path / "linux.tar.gz", archive)
    return Packed(read_package(tmp_path / "linux.tar.gz", tar=tmp_path / "tar").members, tmp_path / "tar")


def random_archive(path: Path, seed: int) -> None:
    """A few members of few names: folders, files, links to each other, out of the archive, and to nothing."""
    dice = random.Random(seed)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(dice.randint(1, 9)):
            member = tarfile.TarInfo(dice.choice(NAMES))
            kinds = [tarfile.REGTYPE] * 3 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE]
            member.type = dice.choice(kinds)
            member.linkname = dice.choice([*TARGETS, *NAMES]) if member.issym() or member.islnk() else ""
            content = f"{number}".encode() if member.isreg() else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def test_the_same_as_unpacked(tmp_path: Path) -> None:
    for seed in range(200):
        package, tree, tar = (tmp_path / f"{seed}{end}" for end in (".tar.gz", "", ".tar"))
        random_archive(package, seed)
        read_package(package, tree)
        found = Packed(read_package(package, tar=tar).members, tar)
        files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
        unpacked = {str(path.relative_to(tree)): path.read_bytes() for path in files}
        assert {name: found.read(name) for name in found.names} == unpacked, seed
        for name in {*unpacked, "a", "b", "c", "a/b", "b/a", "c/a", "a/b/c", "b/b/b", "c/d/e", "none"}:
            assert found.read(name) == content(tree / name), (seed, name)


def test_names_and_patterns(tmp_path: Path) -> None:
    archive = Archive()
    for name in ("./b/z", "./a/c/x.so", "./a/y.so", "./a.so", "./a/y.sox"):
        archive.add(name, name.encode())
    archive.link("./a/link.so", "../b/z")
    archive.link("./a/lost.so", "nothing")
    found = packed(tmp_path, archive)
    assert found.names == ["a.so", "a/y.so", "a/y.sox", "a/c/x.so", "b/z"]
    assert found.matching("a/*.so") == ["a/link.so", "a/y.so"]
    assert found.matching("*/z") == ["b/z"]
    assert found.matching("b/z") == ["b/z"]
    assert found.matching("z") == []
    assert found.read("a/link.so") == b"./b/z"
    assert found.read("a/lost.so") is found.read("a") is None


def test_a_sparse_file(tmp_path: Path) -> None:
    """GNU tar's sparse format 1.0: one piece of data behind a hole."""
    archive = Archive()
    entry = archive.add("./file", b"1\n512\n3\n".ljust(512, b"\0") + b"end")
    said = {"major": "1", "minor": "0", "name": "./file", "realsize": "515"}
    entry.info.pax_headers = {f"GNU.sparse.{key}": value for key, value in said.items()}
    archive.add("./after", b"x")
    found = packed(tmp_path, archive)
    assert found.read("file") == bytes(512) + b"end"
    assert found.read("after") == b"x"
