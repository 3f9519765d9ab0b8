"""Versions in the names of firmware files, and which files are versions of the same firmware.

linux-firmware has no rule for names. What is taken for a version stands at a name's end: `-2` (rtl8168h-2.fw,
iwlwifi-cc-a0-77.ucode), `-7.13.21.0`, `-6.2.1b`, `_70.1.1`, `_v4`, `_ver2_08`, and after guc, huc, dmc and gsc a `_70`.
Other numbers name a chip (`moxa-1110.fw`, `vcn_4_0_3.bin`, `ibt-0040-1020.sfi`): those never make a family.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_NUMBERS = r"\d+(?:\.\d+)*[a-z]?"
_NAME = re.compile(
    rf"""(?P<stem>.*?[^/])
    (?:[-_]v(?:er)?(?P<marked>\d+(?:[._]\d+)*)
      |-(?P<dashed>{_NUMBERS})
      |_(?P<dotted>\d+(?:\.\d+)+)
      |(?<=guc|huc|dmc|gsc)_(?P<micro>\d+(?:\.\d+)*))
    (?P<end>\.[A-Za-z][A-Za-z0-9_]*)""",
    re.VERBOSE,
)
_CHIP = re.compile(r"0\d|\d{4}")
"""A number without a dot that is a chip's or a device's, not a version."""
_NO_VERSIONS = re.compile(
    # Hardware variant, its revision and that of the ROM, which the device tells: drivers/bluetooth/btintel.c.
    r"intel/ibt-.*"
    # Two files of which a device needs both, for its two stages or channels; settings of boards, with the board's own.
    r"|ar9170-.*|go7007/s2250-.*|(?:ti/tas\d+/)?T(?:AS2XXX|XNW|IAS).*|.*\.txt"
)
"""Files whose last number is no version."""
_LAST = (sys.maxsize, "")


@dataclass(frozen=True, kw_only=True)
class Version:
    """The version in a file's name, and the family: all that the name has beside it."""

    family: tuple[str, str]
    numbers: tuple[tuple[int, str], ...]

    def newer_than(self, other: Version) -> bool:
        """Whether this is a later version of the same firmware; `70` and `70.1` do not say which is."""
        length = min(len(self.numbers), len(other.numbers))
        return self.family == other.family and self.numbers[:length] > other.numbers[:length]


@lru_cache(maxsize=1 << 16)
def version_of(name: str) -> Version | None:
    """The version in a name as under lib/firmware, or None where it has none."""
    match = _NAME.fullmatch(name)
    if match is None or _NO_VERSIONS.fullmatch(name):
        return None
    text = next(value for key in ("marked", "dashed", "dotted", "micro") if (value := match[key]))
    if match["dashed"] and _CHIP.match(text) and "." not in text:
        return None
    parts = re.findall(r"(\d+)([a-z]?)", text)
    return Version(
        family=(match["stem"], match["end"]), numbers=tuple((int(number), letter) for number, letter in parts)
    )


def relatives(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are other versions of the same firmware, the newest first; `70` is the newest 70.x."""
    own = version_of(name)
    if own is None:
        return []
    found = [
        ((*version.numbers, _LAST), other)
        for other in names
        if other != name and (version := version_of(other)) is not None and version.family == own.family
    ]
    return [other for _, other in sorted(found, reverse=True)]


def newest(name: str, names: Iterable[str]) -> str | None:
    """The newest version among `names` of the same firmware, where it is newer than `name`."""
    own = version_of(name)
    for other in relatives(name, names):
        version = version_of(other)
        if own and version and version.newer_than(own):
            return other
    return None
