"""Reads the licences of files from a Debian package's machine-readable copyright file.

The form is https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/: paragraphs with `Files:` patterns, in
which `*` stands for any characters, `/` too, and the last paragraph that matches a file is the one for it. The first
line of `License:` is the licence's short name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FIELD = re.compile(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A `Files:` paragraph: what it is about, and the short name of the licence."""

    files: re.Pattern[str]
    licence: str


def parse_copyright(text: str) -> list[Paragraph]:
    """The paragraphs about files; none of a text of another form."""
    found = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        fields = {name.lower(): value for name, value in _FIELD.findall(block)}
        if "files" in fields:
            patterns = "|".join(map(_pattern, fields["files"].split()))
            short = fields.get("license", "").partition("\n")[0].strip()
            found.append(Paragraph(files=re.compile(patterns, re.DOTALL), licence=short))
    return found


def licence_name(paragraphs: Sequence[Paragraph], path: str) -> str:
    """The short name of a file's licence; empty where no paragraph is about it."""
    return next((each.licence for each in reversed(paragraphs) if each.files.fullmatch(path)), "")


def _pattern(glob: str) -> str:
    """The regular expression of a pattern; a backslash takes the meaning from `*`, `?` and itself."""
    parts = []
    for token in re.findall(r"\\[*?\\]|.", glob, re.DOTALL):
        parts.append({"*": ".*", "?": "."}.get(token) or re.escape(token[-1]))
    return "".join(parts)
