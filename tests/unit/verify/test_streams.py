"""Compressed files are read to their very end, in one part or several."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

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


def test_no_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("zstd") is None
    with pytest.raises(MissingProgram, match=r"^zstd$"):
        read(tmp_path / "file", "zstd")
