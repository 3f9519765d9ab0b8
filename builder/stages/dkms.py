"""Reads what a dkms.conf says of a module: a shell script for dkms(8), of which only plain assignments are taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ASSIGNMENT = re.compile(r"^\s*(\w+)(?:\[(\d+)\])?=(?:\"([^\"]*)\"|'([^']*)'|([^\s#;&|]*))\s*(?:#.*)?$", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{?(\w+)\}?")
_PLAIN = re.compile(r"[\w./+-]+")
_MAKE_VARIABLE = re.compile(r"([A-Za-z_]\w*)=([\w./:,+=@%^~-]*)")
_LIMIT = 1 << 16
# Of make's words these are about kbuild's own call, or only about what is printed.
_NOT_OURS = frozenset(("ARCH", "CC", "CROSS_COMPILE", "KBUILD_EXTRA_SYMBOLS", "M", "O", "SHELL", "V"))


@dataclass(frozen=True, kw_only=True)
class Dkms:
    """A module's dkms.conf.

    Attributes:
        modules: The names of what it builds (`BUILT_MODULE_NAME`), without `.ko`; empty: it does not say.
        version: `PACKAGE_VERSION`, where it is plain.
        variables: What `MAKE[0]` gives make, as far as it is plain.
    """

    modules: tuple[str, ...] = ()
    version: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def read_dkms(file: Path) -> Dkms:
    """Read a dkms.conf; a file that is not there says nothing."""
    if not file.is_file():
        return Dkms()
    text = file.read_bytes()[:_LIMIT].decode(errors="replace").replace("\\\n", " ")
    values: dict[str, str] = {}
    for match in _ASSIGNMENT.finditer(text):
        key = match[1] if match[2] in (None, "0") else f"{match[1]}[{match[2]}]"
        value = next(group for group in match.groups()[2:] if group is not None)
        values[key] = _REFERENCE.sub(lambda found: values.get(found[1], found[0]), value)
    names = [value for key, value in values.items() if key.partition("[")[0] == "BUILT_MODULE_NAME"]
    if not names and "PACKAGE_NAME" in values:
        names = [values["PACKAGE_NAME"]]  # dkms(8): its default, for a package of one module
    plain = tuple(name for name in names if _PLAIN.fullmatch(name))
    version = values.get("PACKAGE_VERSION", "")
    return Dkms(
        modules=plain if len(plain) == len(names) else (),
        version=version if _PLAIN.fullmatch(version) else "",
        variables=_variables(values.get("MAKE", "")),
    )


def _variables(command: str) -> dict[str, str]:
    words = (_MAKE_VARIABLE.fullmatch(word.strip("'\"")) for word in command.split())
    return {word[1]: word[2] for word in words if word and word[1] not in _NOT_OURS}
