"""Writes an initramfs: a cpio archive of the form `newc`, which every kernel can unpack, not compressed.

No compression: that would need the kernel to have that very decompressor, and an emulated machine takes longer to
unpack than this one to read. Equal content gives an equal file: owners, times and inode numbers are made up.
Source: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Self

_MERGED = ("bin", "sbin", "lib", "lib64")
"""Links to the folders of these names below usr, as in Debian."""


class Initramfs:
    """An initramfs in the making; parents of a file are made as they are needed, of two equal names the first counts.

    Args:
        out: The file to write, from its start.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        for name in _MERGED:
            self.folder(f"usr/{name}")
            self._entry(name, stat.S_IFLNK | 0o777, f"usr/{name}".encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._header("TRAILER!!!", 0, 0)

    def folder(self, name: str) -> None:
        """A folder, with its parents."""
        name = _place(name)
        if name and name not in self._names:
            self.folder(name.rpartition("/")[0])
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, *, executable: bool = False) -> None:
        """A file with this content."""
        if self._is_new(name):
            self._entry(_place(name), stat.S_IFREG | (0o755 if executable else 0o644), content)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        if self._is_new(name):
            self._entry(_place(name), stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        """A character device."""
        if self._is_new(name):
            self._entry(_place(name), stat.S_IFCHR | 0o600, device=(major, minor))

    def tree(self, source: Path, at: str = "", *, without: Sequence[str] = ()) -> None:
        """All folders, files and links of a folder of this machine, in the order of their names; nothing else.

        Args:
            at: Where they go.
            without: What is left out, relative to `source`.
        """
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            name, inner = f"{at}/{entry.name}".lstrip("/"), [each.partition("/") for each in without]
            if entry.name in without:
                continue
            if entry.is_symlink():
                self.link(name, str(Path(entry.path).readlink()))
            elif entry.is_dir():
                self.folder(name)
                self.tree(Path(entry.path), name, without=[rest for top, _, rest in inner if top == entry.name])
            elif entry.is_file() and self._is_new(name):
                self._copy(_place(name), Path(entry.path))

    def _is_new(self, name: str) -> bool:
        name = _place(name)
        self.folder(name.rpartition("/")[0])
        return name not in self._names

    def _copy(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            mode = stat.S_IFREG | (0o755 if facts.st_mode & 0o111 else 0o644)
            self._names.add(name)
            self._header(name, mode, facts.st_size)
            shutil.copyfileobj(file, self._out, 1 << 20)
            self._pad()

    def _entry(self, name: str, mode: int, content: bytes = b"", *, device: tuple[int, int] = (0, 0)) -> None:
        self._names.add(name)
        self._header(name, mode, len(content), device=device)
        self._out.write(content)
        self._pad()

    def _header(self, name: str, mode: int, size: int, *, device: tuple[int, int] = (0, 0)) -> None:
        number = len(self._names) if mode else 0
        fields = (number, mode, 0, 0, 1, 0, size, 0, 0, *device, len(name.encode()) + 1, 0)
        self._out.write(b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0")
        self._pad()

    def _pad(self) -> None:
        self._out.write(b"\0" * (-self._out.tell() % 4))


def _place(name: str) -> str:
    """Where a file really is, in a tree with merged folders."""
    name = name.strip("/")
    top, slash, rest = name.partition("/")
    return f"usr/{top}/{rest}" if slash and top in _MERGED else name
