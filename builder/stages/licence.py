"""What is said of the licences of firmware: by linux-firmware's WHENCE, or a Debian package's copyright file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from builder.stages.common import write_json

TEXT_FILE = re.compile(r"\b(?:LICEN[CS]ES?[./][\w./+-]*\w|GPL-\d)")
"""The files in linux-firmware's top folder that licences refer to (`LICENCE.rtlwifi_firmware.txt`)."""
_NOTHING = re.compile(r"(?:unknown|unclear|none)\b", re.IGNORECASE)
_HEARSAY = re.compile(r"\balleged(?:ly)?\b", re.IGNORECASE)
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Licence:
    """The licence of a firmware file.

    Attributes:
        text: One line, as it is said there; cut after 200 characters.
        section: Where it is said: the driver of a section of WHENCE, or the name of a Debian package.
        files: The files with the whole text, as paths in the firmware's top folder.
        sources: The source code that WHENCE names beside the file: the GPL wants it to be offered.
        problem: Why the file may not be given on; empty when nothing speaks against that.
    """

    text: str
    section: str
    files: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    problem: str = ""


def one_line(text: str) -> str:
    """A text in one line, without the marks of a C comment."""
    words = [word for word in text.split() if word.strip("*/")]
    line = " ".join(words)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1].rstrip() + "…"


def read_licence(text: str, section: str, sources: tuple[str, ...] = ()) -> Licence:
    """The licence that a text names."""
    line = one_line(text)
    problem = ""
    if not line:
        problem = "no licence is named"
    elif _NOTHING.match(line):
        problem = f"its licence is said to be: {line}"
    elif _HEARSAY.search(line):
        problem = f"what its licence is was never made sure: {line}"
    files = tuple(dict.fromkeys(TEXT_FILE.findall(text)))
    return Licence(text=line, section=section, files=files, sources=sources, problem=problem)


def write_licences(file: Path, licences: Mapping[str, Licence]) -> None:
    """Write the licences of files, for `read_licences`."""
    write_json(file, licences_json(licences))


def licences_json(licences: Mapping[str, Licence]) -> dict[str, dict[str, object]]:
    """The licences of files as JSON has them."""
    return {name: asdict(licence) for name, licence in licences.items()}


def licences_from(data: Mapping[str, Mapping[str, object]]) -> dict[str, Licence]:
    """What `licences_json` gave.

    Raises:
        TypeError: It is something else.
    """
    found = {}
    for name, fields in data.items():
        texts = {key: str(fields[key]) for key in ("text", "section", "problem")}
        lists = {key: tuple(map(str, list(fields[key]))) for key in ("files", "sources")}  # type: ignore[call-overload]
        found[name] = Licence(**texts, **lists)  # type: ignore[arg-type]
    return found


def read_licences(file: Path) -> dict[str, Licence]:
    """The licences that `write_licences` wrote."""
    return licences_from(json.loads(file.read_text()))
