"""The initramfs as a strict reader of `newc` archives sees it (buffer-format.rst), and as busybox's cpio does."""

from __future__ import annotations

import io
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.boot.initramfs import Initramfs


@dataclass(frozen=True)
class Entry:
    """One entry: its mode, its content (a link's target), and its device."""

    mode: int
    content: bytes
    device: tuple[int, int]


def read(archive: bytes) -> dict[str, Entry]:
    """The entries by name, in the archive's order; anything that a kernel might misread fails."""
    found: dict[str, Entry] = {}
    numbers = set()
    at = 0
    while True:
        assert at % 4 == 0 and archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * each : at + 14 + 8 * each], 16) for each in range(13)]
        number, mode, uid, gid, links, mtime, size, _, _, *device, length, check = fields
        name = archive[at + 110 : at + 110 + length]
        assert name.endswith(b"\0") and b"\0" not in name[:-1]
        start = (at + 110 + length + 3) // 4 * 4
        at = (start + size + 3) // 4 * 4
        assert not any(archive[start + size : at])
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return found
        assert (uid, gid, links, mtime, check) == (0, 0, 1, 0, 0)
        key = name[:-1].decode()
        assert key not in found and number not in numbers
        parent = key.rpartition("/")[0]
        assert not parent or stat.S_ISDIR(found[parent].mode), f"{key} has no folder to go to"
        numbers.add(number)
        found[key] = Entry(mode, archive[start : start + size], (device[0], device[1]))


def written(root: Path) -> bytes:
    out = io.BytesIO()
    with Initramfs(out) as archive:
        archive.file("init", b"#!/bin/sh\n", executable=True)
        archive.device("dev/kmsg", 1, 11)
        archive.tree(root, without=("boot", "usr/share/doc"))
        archive.file("init", b"a second one\n")
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name, text in {
        "lib/modules/6.12/kernel/a.ko": "module",
        "usr/lib/libc.so": "library",
        "usr/share/doc/text": "text",
        "boot/vmlinuz": "kernel",
        "lib/firmware/empty": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "usr/bin").mkdir()
    (root / "usr/bin/tool").write_text("tool")
    (root / "usr/bin/tool").chmod(0o700)
    (root / "usr/bin/link").symlink_to("tool")
    return root


def test_what_is_in_it(root: Path) -> None:
    found = read(written(root))
    assert found["init"] == Entry(stat.S_IFREG | 0o755, b"#!/bin/sh\n", (0, 0))
    assert found["dev/kmsg"] == Entry(stat.S_IFCHR | 0o600, b"", (1, 11))
    assert found["usr/bin/tool"] == Entry(stat.S_IFREG | 0o755, b"tool", (0, 0))
    assert found["usr/bin/link"] == Entry(stat.S_IFLNK | 0o777, b"tool", (0, 0))
    assert found["usr/lib/firmware/empty"].content == b""
    assert "boot" not in found and "usr/share/doc" not in found and "usr/share" in found


def test_merged_folders(root: Path) -> None:
    """A package's lib/ goes where the link /lib points: the kernel would put a folder in the link's place."""
    found = read(written(root))
    assert found["lib"] == Entry(stat.S_IFLNK | 0o777, b"usr/lib", (0, 0))
    assert found["usr/lib/modules/6.12/kernel/a.ko"].content == b"module"
    assert not [name for name in found if name.startswith(("lib/", "bin/"))]


def test_equal_content_gives_equal_bytes(root: Path) -> None:
    first = written(root)
    (root / "usr/bin/tool").touch()
    assert written(root) == first


@pytest.mark.host_programs
def test_cpio_reads_it(root: Path) -> None:
    done = subprocess.run(["busybox", "cpio", "-t"], input=written(root), capture_output=True, check=True)
    assert done.stdout.decode().split("\n")[:-1] == list(read(written(root)))
