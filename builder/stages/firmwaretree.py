"""What a folder of firmware offers: its files, and the links by which they have further names.

What is firmware is what the folder's WHENCE names; without one it is every file that is not plainly the repository's
own (README, Makefile, ...). All names are paths as under lib/firmware, without `.xz` and `.zst`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from builder.stages.licence import Licence
from builder.stages.whence import Whence, link_target, parse_whence

REPOSITORY = re.compile(
    r"(.*/)?(\.[^/]+|WHENCE|Makefile|Dockerfile|configure|README[^/]*|LICEN[CS]E[^/]*|GPL-\d|[^/]+\.(py|sh))(/.*)?"
    r"|contrib/.*"
)
"""Files of linux-firmware's repository that are not firmware."""
MAX_LINKS = 40
"""Links followed for one path: Linux gives up after as many (path_resolution(7))."""
MAX_NESTING = 4
"""Linked folders that a path may go through to a file."""


@dataclass(frozen=True, kw_only=True)
class FirmwareTree:
    """Firmware to choose from; all names are paths as under lib/firmware, without `.xz` and `.zst`.

    Attributes:
        files: Path → the file that holds it, perhaps compressed.
        links: Link → what it points to.
        firmware: Those of `files` that patterns may name.
        licences: What is known of the licences of `files`.
    """

    files: dict[str, Path]
    links: dict[str, str]
    firmware: frozenset[str]
    licences: Mapping[str, Licence] = field(default_factory=dict)

    def licence(self, name: str) -> Licence | None:
        """The licence of what a file or a link leads to; None where nothing is said of it."""
        return self.licences.get(self.resolve(name)[0])

    def resolve(self, path: str) -> tuple[str, list[str]]:
        """Follow links, of the path itself and of the folders in it: where it ends, and the links used."""
        used: list[str] = []
        while len(used) < MAX_LINKS:
            parts = path.split("/")
            heads = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
            link = next((head for head in heads if head in self.links), None)
            if link is None:
                return path, used
            used.append(link)
            path = self.links[link] + path.removeprefix(link)
        return path, used

    def find(self, path: str) -> tuple[set[str], set[str]]:
        """The files that a path means, more than one when it is a link to a folder, and the links on the way."""
        end, used = self.resolve(path)
        if end in self.files:
            return {end}, set(used)
        below = {file for file in self.firmware if file.startswith(f"{end}/")} if used else set()
        return below, set(used)

    def names_of(self, files: set[str], links: set[str]) -> set[str]:
        """All paths at which the firmware loader finds one of `files`: its own, and those through `links`."""
        names = set(files)
        for _ in range(MAX_NESTING):
            folders = folders_of(names)
            for link in links:
                target = self.links[link]
                if target in names:
                    names.add(link)
                elif target in folders:
                    names.update([link + name.removeprefix(target) for name in names if name.startswith(f"{target}/")])
        return names

    def links_to(self, files: set[str]) -> set[str]:
        """All links that lead to one of `files`, to a folder with one, or to a folder with such a link."""
        found: set[str] = set()
        for _ in range(MAX_NESTING):
            ends = files | found
            ends |= folders_of(ends)
            for link in self.links:
                end, used = self.resolve(link)
                if end in ends:
                    found.update(used)
        return found


def folders_of(files: Iterable[str]) -> set[str]:
    """All folders that the paths of files go through."""
    return {file[:index] for file in files for index, char in enumerate(file) if char == "/"}


def scan(root: Path) -> FirmwareTree:
    """Read what a folder offers.

    Raises:
        StageError: A link leaves the folder.
    """
    whence: Whence | None = None
    if (root / "WHENCE").is_file():
        whence = parse_whence((root / "WHENCE").read_text(errors="replace"))
    files: dict[str, Path] = {}
    links: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        for name in sorted([*folders, *names]):
            path = Path(folder) / name
            raw = path.relative_to(root).as_posix()
            plain = raw if whence and raw in whence.files else _unpacked(raw)
            if path.is_symlink():
                links[plain] = link_target(plain, _unpacked(str(path.readlink())), "link")
            elif path.is_file() and not REPOSITORY.fullmatch(raw):
                files.setdefault(plain, path)
    if whence:
        links.update(whence.links)
    taken = files.keys() | folders_of(files)
    return FirmwareTree(
        files=files,
        links={link: target for link, target in links.items() if link not in taken},
        firmware=frozenset(whence.files & files.keys() if whence else files),
        licences=_licences(whence, files, root) if whence else {},
    )


def _licences(whence: Whence, files: Mapping[str, Path], root: Path) -> dict[str, Licence]:
    """The licences of the files that are there; one whose text is not in the folder is not clear."""
    found = {}
    for path in whence.licences.keys() & files.keys():
        licence = whence.licences[path]
        lacking = [name for name in licence.files if not (root / name).is_file()]
        if lacking and not licence.problem:
            licence = replace(licence, problem=f"its licence is in {lacking[0]}, which the firmware source lacks")
        found[path] = licence
    return found


def _unpacked(path: str) -> str:
    """A path without the suffix of its compression."""
    return path.removesuffix(".xz").removesuffix(".zst")
