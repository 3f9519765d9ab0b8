from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.stages import pack
from builder.stages.common import StageError

LONG = "deep/" + "x" * 120 + "/" + "y" * 120

FILES = {
    "boot/vmlinuz": b"kernel",
    "lib/a-b": b"1",
    "lib/a/b": b"2",
    "lib/empty": b"",
    LONG: b"long",
    "ünïcode": b"3",
}


def make_tree(root: Path, *, order: int = 0) -> Path:
    """A folder with files, a program, links and an empty folder, made in an order, with times and modes of its own."""
    names = list(FILES)
    random.Random(order).shuffle(names)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name])
        path.chmod(0o664 if order else 0o600)
        os.utime(path, (order, order))
    (root / "bin").mkdir()
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o775 if order else 0o700)
    (root / "bin/link").symlink_to("../boot/vmlinuz")
    (root / "lib/folder-link").symlink_to("a")
    (root / "void").mkdir(mode=0o700 if order else 0o775)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "root")


def packed(root: Path, **options: object) -> bytes:
    out = root.parent / "packed"
    pack.pack(root, out, epoch=1_700_000_000, **options)  # type: ignore[arg-type]
    return out.read_bytes()


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def test_members_are_sorted_start_with_dot_and_have_no_root(root: Path) -> None:
    names = [member.name for member in members(packed(root))]
    assert names == [
        *("./bin", "./bin/link", "./bin/tool", "./boot", "./boot/vmlinuz"),
        *("./deep", f"./{LONG.rpartition('/')[0]}", f"./{LONG}"),
        *("./lib", "./lib/a", "./lib/a/b", "./lib/a-b", "./lib/empty", "./lib/folder-link", "./void", "./ünïcode"),
    ]


def test_members_belong_to_root_and_have_one_time_and_fixed_modes(root: Path) -> None:
    for member in members(packed(root)):
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "root", "root")
        assert member.mtime == 1_700_000_000
    modes = {member.name: member.mode for member in members(packed(root))}
    assert [modes[name] for name in ("./bin/tool", "./boot/vmlinuz", "./void", "./bin/link")] == [
        *(0o755, 0o644, 0o755, 0o777)
    ]


def test_a_top_folder_is_a_member_with_its_parents(root: Path) -> None:
    names = [member.name for member in members(packed(root, top="usr/src/linux-1"))]
    assert names[:4] == ["usr", "usr/src", "usr/src/linux-1", "usr/src/linux-1/bin"]
    assert not any(name.startswith(".") for name in names)


def test_hard_links_become_files(root: Path) -> None:
    (root / "lib/second").hardlink_to(root / "lib/a-b")
    found = {member.name: member for member in members(packed(root))}
    assert found["./lib/second"].isreg() and found["./lib/a-b"].isreg()


@pytest.mark.parametrize("compression", pack.FORMATS)
def test_bytes_depend_on_neither_order_nor_times_nor_modes_nor_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    monkeypatch.setattr(pack, "CHUNK", 4096)  # several members
    one = packed(make_tree(tmp_path / "1/root", order=1), compression=compression)
    monkeypatch.setattr(pack, "workers", lambda: 1)
    assert packed(make_tree(tmp_path / "2/root", order=2), compression=compression) == one


def test_the_compressors_give_back_the_plain_archive(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "CHUNK", 4096)
    plain = packed(root, compression="none")
    assert gzip.decompress(packed(root)) == plain
    assert lzma.decompress(packed(root, compression="xz")) == plain
    zstd = packed(root, compression="zstd")
    assert subprocess.run(["zstd", "-dc"], input=zstd, capture_output=True, check=True).stdout == plain


@pytest.mark.parametrize("compress", [pack._zlib, *([pack._libdeflate] if shutil.which("libdeflate-gzip") else [])])
def test_gzip_has_neither_name_nor_time(compress: Callable[[bytes], bytes]) -> None:
    data = compress(b"x" * 1000)
    assert gzip.decompress(data) == b"x" * 1000
    assert data[:8] == b"\x1f\x8b\x08\0\0\0\0\0"  # no flags, time 0


def test_tar_reads_it_back(root: Path, tmp_path: Path) -> None:
    packed(root)
    (tmp_path / "out").mkdir()
    done = subprocess.run(["tar", "-xzf", tmp_path / "packed", "-C", tmp_path / "out"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for name, content in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == content
    assert (tmp_path / "out/bin/link").readlink() == Path("../boot/vmlinuz")


def test_an_empty_folder_is_an_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert members(packed(tmp_path / "root")) == []


def test_what_is_no_file_folder_or_link_is_refused(root: Path) -> None:
    os.mkfifo(root / "lib/pipe")
    with pytest.raises(StageError, match="lib/pipe is neither"):
        packed(root)


def test_a_compressor_that_fails_is_an_error(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xz").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "xz").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (root / "big").write_bytes(bytes(4 << 20))
    with pytest.raises(StageError, match="xz failed with exit code 3"):
        packed(root, compression="xz")
