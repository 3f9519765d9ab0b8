"""Compressed files are read to their very end, in one part or several."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.verify import unpack
from builder.verify.model import MissingProgram
from builder.verify.streams import Stream

TEXT = b"".join(b"%d\n" % number for number in range(200_000))


def squeeze(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


PACKERS = {"gzip": squeeze, "xz": xz}


def read(path: Path, compression: str, size: int = 70_000) -> tuple[bytes, str]:
    """The content, and what follows it."""
    stream = Stream(path, compression)
    content = b"".join(iter(lambda: stream.read(size), b""))
    return content, stream.garbage


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("size", [1_000_000_000, 70_001])
def test_parts_one_after_the_other(tmp_path: Path, compression: str, size: int) -> None:
    pack = PACKERS[compression]
    path = tmp_path / "file"
    path.write_bytes(pack(TEXT) + pack(b"") + pack(b"end"))
    assert read(path, compression, size) == (TEXT + b"end", "")


@pytest.mark.parametrize("compression", PACKERS)
def test_no_piece_is_larger_than_asked_for(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKERS[compression](bytes(20 << 20)))
    stream = Stream(path, compression)
    sizes = [len(piece) for piece in iter(lambda: stream.read(100), b"")]
    assert max(sizes) == 100
    assert sum(sizes) == 20 << 20


@pytest.mark.parametrize("compression", PACKERS)
def test_places(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKERS[compression](TEXT))
    stream = Stream(path, compression)
    for place in (0, 5, 500, len(TEXT) - 3):
        stream.seek(place)
        assert stream.tell() == place
        assert stream.read(2) == TEXT[place : place + 2]
        assert stream.tell() == place + 2
    with pytest.raises(tarfile.StreamError):
        stream.seek(0)
    stream.seek(1 << 40)
    assert stream.tell() == len(TEXT)
    assert stream.read(1) == b""
    stream.close()


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("follows", [b"<html>", b"x", bytes(4_000_000) + b"x"])
def test_what_follows_is_noticed_after_the_content(tmp_path: Path, compression: str, follows: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKERS[compression](TEXT) + follows)
    content, garbage = read(path, compression)
    assert content == TEXT
    assert compression in garbage


@pytest.mark.parametrize("compression", PACKERS)
def test_zeros_may_follow(tmp_path: Path, compression: str) -> None:
    """gzip(1) and xz(1) take them for padding."""
    path = tmp_path / "file"
    path.write_bytes(PACKERS[compression](TEXT) + bytes(4096))
    assert read(path, compression) == (TEXT, "")


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("cut", [1, 9, 1000])
def test_a_cut_file(tmp_path: Path, compression: str, cut: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKERS[compression](TEXT)[:-cut])
    with pytest.raises(EOFError, match="ends too early"):
        read(path, compression)


@pytest.mark.parametrize(
    ("compression", "damage", "error"),
    [
        ("gzip", lambda data: data[:-8] + b"\0\0\0\0" + data[-4:], zlib.error),
        ("gzip", lambda data: data[:5000] + b"\xff" * 50 + data[5050:], zlib.error),
        ("xz", lambda data: data[:5000] + b"\xff" * 50 + data[5050:], lzma.LZMAError),
        ("gzip", lambda _: xz(TEXT), ValueError),
        ("xz", lambda _: squeeze(TEXT), ValueError),
        ("gzip", lambda _: b"", ValueError),
    ],
)
def test_damage(tmp_path: Path, compression: str, damage: Callable[[bytes], bytes], error: type[Exception]) -> None:
    path = tmp_path / "file"
    path.write_bytes(damage(PACKERS[compression](TEXT)))
    with pytest.raises(error):
        read(path, compression)


@pytest.mark.host_programs
def test_zstd(tmp_path: Path) -> None:
    path = tmp_path / "file"
    packed = subprocess.run(["zstd", "-c"], input=TEXT, capture_output=True, check=True).stdout
    path.write_bytes(packed + packed)
    assert read(path, "zstd") == (TEXT + TEXT, "")
    path.write_bytes(packed[:-5])
    with pytest.raises(ValueError, match=r"zstd|premature|truncated"):
        read(path, "zstd")


def zeros_in_zstd(size: int) -> bytes:
    """Zeros in zstd's form, a few bytes for each 128 KiB (RFC 8878: blocks of one repeated byte)."""
    blocks = size >> 17
    head = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x38])  # a window of 128 KiB, the content's size unknown
    block = ((1 << 17) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return head + block * (blocks - 1) + (int.from_bytes(block[:3], "little") | 1).to_bytes(3, "little") + b"\0"


@pytest.mark.host_programs
def test_nothing_of_a_zstd_bomb_is_written(tmp_path: Path, few_bytes_a_file: None) -> None:
    """It is read piece by piece: who reads it says when there is too much of it."""
    path = tmp_path / "file"
    path.write_bytes(zeros_in_zstd(8 << 30))
    assert path.stat().st_size < 1 << 19
    stream = Stream(path, "zstd")
    assert sum(len(stream.read(1 << 20)) for _ in range(100)) == 100 << 20
    stream.close()


@pytest.mark.host_programs
@pytest.mark.parametrize("first", ["member", "end"])
def test_a_package_that_is_a_zstd_bomb_is_refused(
    tmp_path: Path, few_bytes_a_file: None, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(unpack, "_SMALL", 64 << 20)
    tar = tarfile.TarInfo("./boot/vmlinuz")
    tar.size = 4 << 30
    head = tar.tobuf() if first == "member" else bytes(1024)
    packed = subprocess.run(["zstd", "-c"], input=head, capture_output=True, check=True).stdout
    path = tmp_path / "linux.tar.zst"
    path.write_bytes(packed + zeros_in_zstd(4 << 30))
    monkeypatch.setattr(unpack, "_RATIO", 1)
    assert "unpacks to more than" in unpack.read_package(path, tmp_path / "out").damage


def test_no_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("zstd") is None
    with pytest.raises(MissingProgram, match=r"^zstd$"):
        read(tmp_path / "file", "zstd")
