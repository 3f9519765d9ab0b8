"""The files of a package as they are once it is unpacked, read out of its archive: writing thousands takes long."""

from __future__ import annotations

import mmap
import posixpath
import re
import tarfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from builder.verify.links import folders_of, follow
from builder.verify.unpack import stays_inside


class Packed:
    """The files of one package.

    Args:
        members: Its members, in their order. Of some of one name the last counts, a folder stays one, and none is where
            a link leads to: as `builder.verify.unpack` has it.
        tar: Its archive, without the compression.
    """

    def __init__(self, members: Iterable[tarfile.TarInfo], tar: Path) -> None:
        self._tar = tar
        with tar.open("rb") as file:
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._entries: dict[str, tarfile.TarInfo | None] = {"": None, ".": None}  # None: a folder
        for member in members:
            self._place(member)
        self._folders = {name for name, entry in self._entries.items() if entry is None}
        self._links = {name: entry.linkname for name, entry in self._entries.items() if entry and entry.issym()}

    @cached_property
    def names(self) -> list[str]:
        """The regular files' names, folder by folder; links are none."""
        return sorted((name for name, entry in self._entries.items() if entry and entry.isreg()), key=posixpath.split)

    def matching(self, pattern: str) -> list[str]:
        """The files, and links to files, whose name is of a pattern; each `*` in it is a part of one folder's or file's
        name."""
        wanted = re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))
        return sorted(name for name in self._entries if wanted.fullmatch(name) and self._find(name))

    def read(self, name: str) -> bytes | None:
        """The content of a file, or of what a link leads to; None when there is no such file in the package."""
        if (entry := self._find(name)) is None:
            return None
        if not entry.issparse():
            return self._content[entry.offset_data : entry.offset_data + entry.size]
        with tarfile.open(self._tar, "r:") as archive:
            content = archive.extractfile(entry)
            assert content is not None
            return content.read()

    def _find(self, name: str) -> tarfile.TarInfo | None:
        entry = self._entries.get(name)
        if entry is None or entry.issym():
            entry = self._entries.get(follow(name, self._links, self._folders) or "")
        return entry if entry and entry.isreg() else None

    def _place(self, member: tarfile.TarInfo) -> None:
        name, link = posixpath.normpath(member.name), member.linkname
        if not stays_inside(name) or not self._way(name):
            return
        source = posixpath.normpath(link)
        if member.islnk() and not (stays_inside(link) and self._way(source)):
            return
        if name in self._entries and self._entries[name] is None:
            return
        if member.isdir():
            self._entries.setdefault(name, None)
        elif member.isreg() or (member.issym() and stays_inside(posixpath.join(posixpath.dirname(name), link))):
            self._entries[name] = member
        elif member.islnk():
            self._entries.pop(name, None)
            if linked := self._entries.get(source):
                self._entries[name] = linked

    def _way(self, name: str) -> bool:
        """Whether the folders on the way to a name are there, or can be made."""
        if (folder := posixpath.dirname(name)) in self._entries:
            return self._entries[folder] is None
        ways = reversed(list(folders_of(name)))
        return all(self._entries.setdefault(each, None) is None for each in ways)
