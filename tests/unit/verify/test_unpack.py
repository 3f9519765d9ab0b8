"""Packages are read with suspicion: nothing is written outside, and what is wrong is told."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO
from unittest.mock import Mock

import pytest

from builder.verify import unpack
from builder.verify.unpack import plain, read_package
from tests.doctor import Archive, Entry, write


def packed(tmp_path: Path, archive: Archive) -> Path:
    path = tmp_path / "linux.tar.gz"
    write(path, archive)
    return path


def files(folder: Path) -> dict[str, str]:
    """Every file and link below a folder, with its content or its target."""
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_files_folders_and_links(tmp_path: Path) -> None:
    archive = Archive()
    archive.add("./bin/run", b"#!/bin/sh\n", mode=0o755)
    archive.add("./etc/secret", b"text", mode=0)
    archive.link("./etc/run", "../bin/run")
    archive.link("./etc/again", "etc/secret", hard=True)
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert [member.name for member in contents.members] == archive.names()
    assert (contents.damage, contents.garbage) == ("", "")
    assert files(tmp_path / "out") == {
        "bin/run": "#!/bin/sh\n",
        "etc/secret": "text",
        "etc/run": "-> ../bin/run",
        "etc/again": "text",
    }
    assert (tmp_path / "out/bin/run").stat().st_mode & 0o111
    assert not (tmp_path / "out/etc/secret").stat().st_mode & 0o111


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("as it was")
    archive = Archive()
    archive.add(f"{tmp_path}/absolute", b"x")
    archive.add("../victim", b"x")
    archive.add("./a/../../victim", b"x")
    archive.link("./out", "..")
    archive.add("./out/victim", b"x")
    archive.link("./file", "../victim")
    archive.add("./file", b"inside")
    archive.link("./hard", "../victim", hard=True)
    archive.add("./null").info.type = tarfile.CHRTYPE
    archive.add("./pipe").info.type = tarfile.FIFOTYPE
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert len(contents.members) == len(archive.entries)
    assert (tmp_path / "victim").read_text() == "as it was"
    assert not (tmp_path / "absolute").exists()
    found = files(tmp_path / "out")
    assert found["file"] == "inside"
    assert not found.keys() & {"hard", "null", "pipe", "out"}


def long_way(archive: Archive) -> str:
    """Folders and links with which a short path means one longer than PATH_MAX; returns the short one."""
    way, real = "", ""
    for name in "abcdefghijklmnop":
        archive.link(f"{real}{name}", "d" * 247)
        real = f"{real}{'d' * 247}/"
        way = f"{way}{name}/"
    archive.add(f"{real}file")
    archive.link(way + "l" * 254, "../" * 16)
    return way + "l" * 254


def test_a_way_out_that_realpath_does_not_see(tmp_path: Path) -> None:
    """CVE-2025-4517: behind PATH_MAX bytes `os.path.realpath` takes links for names, and the kernel does not."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").write_text("as it was")
    archive = Archive()
    archive.link("./escape", f"{long_way(archive)}/../victim")
    archive.link("./hard", "escape/file", hard=True)
    archive.add("./hard", b"by a hard link")
    archive.entries.append(Entry(tarfile.TarInfo("escape/new"), b"by a link"))
    archive.add("./after", b"x")
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert not contents.damage
    assert {path.name: path.read_text() for path in (tmp_path / "victim").iterdir()} == {"file": "as it was"}
    assert not (tmp_path / "out/escape").exists()
    assert (tmp_path / "out/after").read_text() == "x"


def test_a_way_out_that_opens_later(tmp_path: Path) -> None:
    """A link that stays inside until a name on its way becomes a link too; what reads it must not get out."""
    (tmp_path / "victim").write_text("of this machine")
    archive = Archive()
    archive.link("./escape", "folder/later/../victim")
    archive.link("./folder/later", "..")
    read_package(packed(tmp_path, archive), tmp_path / "out")
    assert files(tmp_path / "out") == {"folder/later": "-> .."}


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """Also where it leads to a folder of the package: who unpacks otherwise may see other files."""
    archive = Archive()
    archive.add("./real/file", b"as it was")
    archive.link("./link", "real")
    archive.entries.append(Entry(tarfile.TarInfo("./link/file"), b"another"))
    read_package(packed(tmp_path, archive), tmp_path / "out")
    assert files(tmp_path / "out") == {"real/file": "as it was", "link": "-> real"}


def test_links_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is followed as far as Linux does, not to the end of a chain that may have a member's number of links."""
    readlink = Mock(wraps=os.readlink)
    monkeypatch.setattr(os, "readlink", readlink)
    archive = Archive()
    for number in range(500):
        archive.link(f"./link{number}", f"link{number + 1}")
    archive.link("./loop", "loop")
    archive.add("./link500", b"x")
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert not contents.damage
    assert readlink.call_count <= 40 * 40
    kept = {f"link{number}": f"-> link{number + 1}" for number in range(460, 500)}
    assert files(tmp_path / "out") == {"link500": "x", **kept}


def test_a_sparse_file_that_pretends_to_a_size(tmp_path: Path) -> None:
    """GNU tar's sparse format 1.0: what the header claims would be written as zeros."""
    archive = Archive()
    entry = archive.add("./file", b"1\n0\n1\n".ljust(512, b"\0") + b"x")
    claimed = {"major": "1", "minor": "0", "name": "./file", "realsize": str(20 << 30)}
    entry.info.pax_headers = {f"GNU.sparse.{key}": value for key, value in claimed.items()}
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert "unpacks to more than" in contents.damage
    assert files(tmp_path / "out") == {}


def test_headers_count_as_what_it_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of empty files are some kilobytes of gzip, and take gigabytes of memory."""
    archive = Archive()
    for number in range(300):
        archive.add(f"./{number}")
    package = packed(tmp_path, archive)
    assert not read_package(package).damage
    monkeypatch.setattr(unpack, "LIMIT", 100_000)
    contents = read_package(package)
    assert "unpacks to more than" in contents.damage
    assert len(contents.members) < 200


def test_members_of_one_name(tmp_path: Path) -> None:
    """The last one wins, as with tar; a folder stays one."""
    archive = Archive()
    archive.add("./a", b"one")
    archive.add("./a", b"two")
    archive.add("./b/c", b"in a folder")
    archive.add("./b", b"no folder")
    archive.add("./a/d", b"in a file")
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert not contents.damage
    assert len(contents.members) == len(archive.entries)
    assert files(tmp_path / "out") == {"a": "two", "b/c": "in a folder"}


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    archive = Archive()
    archive.add("./" + "long" * 100, b"x")
    archive.add("./after", b"x")
    contents = read_package(packed(tmp_path, archive), tmp_path / "out")
    assert not contents.damage
    assert files(tmp_path / "out") == {"after": "x"}


def tar_of(tmp_path: Path, count: int = 3) -> bytes:
    archive = Archive()
    for number in range(count):
        archive.add(f"./file{number}", b"content" * 100)
    return gzip.decompress(packed(tmp_path, archive).read_bytes())


@pytest.mark.parametrize(
    ("change", "said", "members"),
    [
        (lambda data: data[: 512 * 4 + 100], "empty header|truncated header|unexpected end", 2),
        (lambda data: data[: 512 * 6], "empty header", 2),
        (lambda data: data.replace(b"./file1", b"./file7"), "bad checksum", 1),
        (lambda _: b"no tar at all" * 100, "bad checksum|invalid header", 0),
        (lambda _: b"", "empty", 0),
    ],
    ids=["cut in a file", "without an end", "another name", "no tar", "nothing"],
)
def test_a_damaged_tar(tmp_path: Path, change: Callable[[bytes], bytes], said: str, members: int) -> None:
    path = tmp_path / "linux.tar.gz"
    path.write_bytes(gzip.compress(change(tar_of(tmp_path))))
    contents = read_package(path, tmp_path / "out")
    assert re.search(said, contents.damage), contents.damage
    assert len(contents.members) == members


def test_a_second_archive_behind_the_first(tmp_path: Path) -> None:
    path = tmp_path / "linux.tar.gz"
    data = tar_of(tmp_path)
    path.write_bytes(gzip.compress(data + data))
    contents = read_package(path)
    assert "follows the end" in contents.garbage
    assert len(contents.members) == 3


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "LIMIT", 1000)
    path = tmp_path / "linux.tar.gz"
    path.write_bytes(gzip.compress(tar_of(tmp_path)))
    contents = read_package(path, tmp_path / "out")
    assert "unpacks to more than" in contents.damage
    assert set(files(tmp_path / "out")) == {"file0"}


def test_a_full_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive()
    archive.add("./file", b"x")
    path = packed(tmp_path, archive)

    really = Path.open

    def full(path: Path, mode: str = "r", **options: int) -> IO[bytes]:
        if mode != "rb":
            raise OSError(28, "No space left on device")
        return really(path, mode, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        read_package(path, tar=tmp_path / "tar")
    with pytest.raises(OSError, match="No space left"):
        read_package(path, tmp_path / "out")


def test_the_archive_itself(tmp_path: Path) -> None:
    path = tmp_path / "linux.tar.gz"
    data = tar_of(tmp_path, 3000)
    path.write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    contents = read_package(path, tar=tmp_path / "tar")
    assert (contents.damage, len(contents.members)) == ("", 3000)
    assert (tmp_path / "tar").read_bytes() == data


@pytest.mark.parametrize(
    "name",
    [
        *("a/b", ".hidden", "./.hidden", "a/.b/..c", "a..b/.c.", "./a", "././a"),
        *("a//b", "a/./b", "a/", "/a", "a/..", "../a"),
    ],
)
def test_plain_names(name: str) -> None:
    assert plain(name) == str(PurePosixPath(name))


def test_the_plain_name_of_the_root() -> None:
    assert plain(".") == plain("./") == ""
