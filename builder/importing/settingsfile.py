"""The settings file of an imported project: what was found, with comments that say where it is from and what else
could be written there."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from builder.importing.kernel import GCC, Found
from builder.importing.report import printable
from builder.inputs.pins import TARBALLS

_WIDTH = 118
_TAG = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an imported project is to ask for.

    Attributes:
        org: The org, and where it was found.
        suffix: What `uname -r` ends in, where that is not the org.
        kernel: The release of kernel.org, and where it was found.
        suite: The Debian suite, and the compiler that it stands for.
        packages: Debian packages for the toolchain, each with the option that needs it.
        firmware: Debian's firmware packages.
        firmware_tag: The tag of linux-firmware that os-kernel took, if it names one.
        firmware_listed: Whether there is a list of firmware.
        arches: What was taken over for.
    """

    org: Found
    suffix: str | None
    kernel: Found
    suite: Found
    packages: Mapping[str, str]
    firmware: Sequence[str]
    firmware_tag: str | None
    firmware_listed: bool
    arches: Sequence[str]

    @property
    def release(self) -> str:
        """V, as `uname -r` prints it."""
        return f"{self.kernel.value}-{self.suffix or self.org.value}"


def settings_text(choice: Choice) -> str:
    """The content of config/rosk.yaml."""
    parts = [
        "# yaml-language-server: $schema=rosk.schema.json\n#\n"
        + _comment(
            "The settings of this project, made by `rosk import` from a checkout of os-kernel. Every key is in the"
        )
        + _comment("table of settings in rosk's README; what is left out has its default."),
        _org(choice),
        _kernel(choice),
        _toolchain(choice),
        *([_arches(choice)] if len(choice.arches) > 1 else []),
        _LISTS,
        _firmware(choice),
        _REGISTRIES,
    ]
    return "\n".join(parts)


def _comment(text: str, indent: str = "") -> str:
    """Lines of a comment; no line break of what was found gets out of it."""
    lines = textwrap.wrap(printable(text), _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return "".join(f"{indent}# {line}\n" for line in lines)


def _org(choice: Choice) -> str:
    org = choice.org.value
    said = (
        f"Names the images ({org}/os-kernel:{choice.release}) and, unless `suffix` says otherwise, ends the kernel "
        f"release: `uname -r` prints {choice.release}. From {choice.org.where}."
    )
    suffix = f'suffix: "{choice.suffix}"\n' if choice.suffix else f"# suffix: {org}\n"
    return f"{_comment(said)}org: {org}\n{suffix}"


def _kernel(choice: Choice) -> str:
    version = choice.kernel.value
    said = f"From {choice.kernel.where}. One build of another is as before: KERNEL_TAG={version} rosk build."
    lines = ["kernel:\n", _comment(said, "  "), f'  source: kernel.org\n  version: "{version}"\n']
    if sha256 := TARBALLS.get(version):
        lines.append(f"  sha256: {sha256}\n")
    else:
        pin = "The checksum comes from kernel.org's signed sha256sums.asc; `sha256` pins it here."
        lines.append(_comment(pin, "  "))
    return "".join(lines)


def _toolchain(choice: Choice) -> str:
    suite = choice.suite
    said = f"Debian's {suite.value} has gcc {GCC[suite.value]}, the nearest to {suite.where}."
    lines = ["toolchain:\n", _comment(said, "  "), f"  suite: {suite.value}\n"]
    if choice.packages:
        why = ", ".join(f"{option} needs {package}" for package, option in choice.packages.items())
        lines.append(_comment(f"Beside rosk's own toolchain: {why}.", "  "))
        lines.append("  packages:\n" + "".join(f"    - {package}\n" for package in choice.packages))
    return "".join(lines)


def _arches(choice: Choice) -> str:
    said = (
        "`rosk build` builds for this machine, and with --arch for another one. With this line `rosk build --all` "
        "builds for all of these, `rosk config update` brings all their configs to another kernel, and the toolchain "
        "has a cross compiler for what this machine is not."
    )
    return f"{_comment(said)}# architectures: [{', '.join(choice.arches)}]\n"


_LISTS = """\
lists:
  # A built module that no list names: error, as os-kernel had it, or extra (it goes to the extras package).
  unlisted: error
"""

_REGISTRIES = """\
# Where `rosk build --push` pushes to, with docker's own credentials: host[:port][/prefix].
registries: []
"""


def _firmware(choice: Choice) -> str:
    lines = ["firmware:\n"]
    if choice.firmware_tag and _TAG.fullmatch(choice.firmware_tag):
        tag = choice.firmware_tag
        said = (
            f"os-kernel cloned linux-firmware at the tag {tag}. rosk clones nothing: to ship that revision, download "
            f"linux-firmware-{tag}.tar.xz (kernel.org has it in pub/linux/kernel/firmware) into this folder, and write"
        )
        lines.append(_comment(said, "  "))
        lines.append(f"  #   source: tarball\n  #   path: linux-firmware-{tag}.tar.xz\n")
        instead = "Until then it is what these packages of Debian have."
    else:
        instead = (
            "os-kernel cloned linux-firmware as it was on the day. These packages of Debian have it, of their own day."
        )
    if choice.firmware:
        lines.append(_comment(f"{instead} The build says which lines of the lists they lack.", "  "))
        lines.append("  source: debian\n  packages:\n")
        lines += [f"    - {package}\n" for package in choice.firmware]
    else:
        why = (
            "No package of Debian is known for the lists."
            if choice.firmware_listed
            else "There is no list of firmware."
        )
        lines += [_comment(why, "  "), "  source: none\n"]
    return "".join(lines)
