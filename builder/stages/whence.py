"""Reads WHENCE, linux-firmware's table of contents: which of its files are firmware, and the links to make.

Lines that matter: `File: PATH`, `RawFile: PATH` (one that must not be compressed), `Link: PATH -> TARGET`, where TARGET
is relative to the link's folder. A path with blanks is quoted, or its blanks are escaped by a backslash. The source of
this is linux-firmware's own copy-firmware.sh and check_whence.py.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from builder.stages.common import StageError

ENTRY = re.compile(r"(File|RawFile|Link):\s*(.+?)\s*$")


@dataclass(frozen=True, kw_only=True)
class Whence:
    """What WHENCE names, by paths as under lib/firmware.

    Attributes:
        files: The firmware files.
        links: Link → what it points to (a file, a folder, or another link).
    """

    files: frozenset[str]
    links: dict[str, str]


def parse_whence(text: str) -> Whence:
    """Read WHENCE's content.

    Raises:
        StageError: A path or a link leaves the folder.
    """
    files, links = set(), {}
    for number, row in enumerate(text.splitlines(), 1):
        match = ENTRY.match(row)
        if not match:
            continue
        label = f"WHENCE, line {number}"
        if match[1] == "Link":
            link, arrow, target = match[2].partition("->")
            if arrow:
                path = inside(_plain(link), label)
                links[path] = link_target(path, _plain(target), label)
        else:
            files.add(inside(_plain(match[2]), label))
    return Whence(files=frozenset(files), links=links)


def inside(path: str, label: str) -> str:
    """A path in its plain form.

    Raises:
        StageError: It leads out of the folder; the message starts with `label`.
    """
    plain = posixpath.normpath(path)
    if plain.startswith(("/", "../")) or plain in ("..", "."):
        raise StageError(
            f"{label}: {path} leads out of the firmware folder", hint="remove it from the firmware source, or fix it"
        )
    return plain


def link_target(link: str, target: str, label: str) -> str:
    """The path that a link points to, as under lib/firmware; `target` is relative to the link's folder."""
    return inside(posixpath.join(posixpath.dirname(link), target), f"{label}: {link}")


def _plain(word: str) -> str:
    """A path without its quotes and backslashes."""
    return word.strip().strip('"').replace("\\ ", " ")
