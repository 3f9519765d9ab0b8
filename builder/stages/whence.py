"""Reads WHENCE, linux-firmware's table of contents: its firmware, the links to make, and what licence each file has.

Lines that matter: `File: PATH`, `RawFile: PATH` (one that must not be compressed), `Link: PATH -> TARGET`, where TARGET
is relative to the link's folder. A path with blanks is quoted, or its blanks are escaped by a backslash. The source of
this is linux-firmware's own copy-firmware.sh and check_whence.py.

A line of dashes ends a section, which starts with `Driver: NAME - TEXT`. A `Licence:` (or `License:`) is that of the
files above it, up to the licence before, and goes on to the next blank line; `Source: PATH` is the code that firmware
is made of. An older form is `Original licence information:` with a text of its own below.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builder.stages.common import StageError
from builder.stages.licence import Licence, read_licence

ENTRY = re.compile(r"(File|RawFile|Link):\s*(.+?)\s*$")
_END = re.compile(r"-{5,}\s*$")
_DRIVER = re.compile(r"Driver:\s*(.*?)\s*$")
_SOURCE = re.compile(r"Source:\s*(.+?)\s*$")
_LICENCE = re.compile(r"(?:Original )?licen[cs]e(?: information)?:\s*(.*?)\s*$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Whence:
    """What WHENCE names, by paths as under lib/firmware.

    Attributes:
        files: The firmware files.
        links: Link → what it points to (a file, a folder, or another link).
        licences: File → its licence, of each of `files`.
    """

    files: frozenset[str]
    links: dict[str, str]
    licences: dict[str, Licence]


def parse_whence(text: str) -> Whence:
    """Read WHENCE's content.

    Raises:
        StageError: A path or a link leaves the folder.
    """
    links: dict[str, str] = {}
    licences: dict[str, Licence] = {}
    for section in _sections(text):
        for path, licence in _licences(section, links):
            licences.setdefault(path, licence)
    return Whence(files=frozenset(licences), links=links, licences=licences)


def _sections(text: str) -> Iterator[list[tuple[int, str]]]:
    """The lines of each section, with their numbers."""
    section: list[tuple[int, str]] = []
    for number, row in enumerate(text.splitlines(), 1):
        if _END.match(row):
            yield section
            section = []
        else:
            section.append((number, row))
    yield section


def _licences(section: Sequence[tuple[int, str]], links: dict[str, str]) -> Iterator[tuple[str, Licence]]:
    """The files of a section with their licences; its links are added to `links`."""
    driver = next((match[1] for _, row in section if (match := _DRIVER.match(row))), "")
    files: list[str] = []
    sources: list[str] = []
    last: Licence | None = None
    for index, (number, row) in enumerate(section):
        if match := ENTRY.match(row):
            label = f"WHENCE, line {number}"
            if match[1] == "Link":
                _add_link(match[2], label, links)
            else:
                files.append(inside(_plain(match[2]), label))
        elif match := _SOURCE.match(row):
            sources.append(_plain(match[1]))
        elif match := _LICENCE.match(row):
            last = read_licence(_text(match[1], section[index + 1 :]), driver, tuple(sources))
            yield from ((path, last) for path in files)
            files, sources = [], []
    # Files below the last licence of their section are those that were added to it at its end.
    left = last or read_licence("", driver, tuple(sources))
    yield from ((path, left) for path in files)


def _text(first: str, rest: Sequence[tuple[int, str]]) -> str:
    """A licence's text: its line to the next blank one; with nothing in that line, what follows to the next entry."""
    rows = [first] if first else []
    for _, row in rest:
        if ENTRY.match(row) or _DRIVER.match(row) or _LICENCE.match(row) or (first and not row.strip()):
            break
        rows.append(row)
    return "\n".join(rows)


def _add_link(text: str, label: str, links: dict[str, str]) -> None:
    link, arrow, target = text.partition("->")
    if arrow:
        path = inside(_plain(link), label)
        links[path] = link_target(path, _plain(target), label)


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
