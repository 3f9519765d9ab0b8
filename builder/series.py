"""Which Debian suite compiles which kernel series, and what more old trees have to be told.

A kernel is best compiled by a compiler of its day: a newer one knows warnings and optimizations that the tree has no
answer to. Debian has a kernel and a compiler of one day in each suite. The documents are
Documentation/process/changes.rst (the oldest compiler) and Documentation/kbuild/llvm.rst (clang) of each tree; each
flag names the commit of torvalds/linux that made it needless.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.errors import InputError

Compiler = Literal["gcc", "clang"]
Version = tuple[int, int]
"""VERSION and PATCHLEVEL: a series."""

NEEDED_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "MODULE_SIG": ("openssl",),
    "DEBUG_INFO_BTF": ("dwarves",),
    "KERNEL_LZ4": ("lz4",),
    "KERNEL_LZO": ("lzop",),
    "KERNEL_BZIP2": ("bzip2",),
}
"""Debian packages with what the build of an option runs that rosk's toolchain lacks: certs/Makefile (openssl makes the
key that signs modules), scripts/link-vmlinux.sh (pahole), scripts/Makefile.lib."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One Debian suite as a toolchain.

    Attributes:
        debian: The number of the Debian release.
        gcc, clang: The major versions of its compilers.
        since: The first kernel series that it is chosen for.
        source: The kernel series that its package linux-source-SERIES has.
        why: Why the series from `since` on are compiled with it.
    """

    name: str
    debian: int
    gcc: int
    clang: int
    since: Version
    source: str
    why: str


SUITES = (
    Suite(
        name="bullseye",
        debian=11,
        gcc=10,
        clang=11,
        since=(0, 0),
        source="5.10",
        why="Debian 11's own kernel is 5.10; gcc 10 is the oldest compiler that Debian still supplies",
    ),
    Suite(
        name="bookworm",
        debian=12,
        gcc=12,
        clang=14,
        since=(5, 11),
        source="6.1",
        why="Debian 12's own kernel is 6.1; series before it were fixed for gcc 12 in their stable releases",
    ),
    Suite(
        name="trixie",
        debian=13,
        gcc=14,
        clang=19,
        since=(6, 6),
        source="6.12",
        why="Debian 13's own kernel is 6.12; gcc 14 is the compiler of the newest series too",
    ),
)
"""Oldest first. The compilers are those that the suite's packages gcc and clang stand for."""

NEWEST = SUITES[-1]

LLVM_SINCE: Version = (5, 7)
"""The first series that knows LLVM=1 (a0d1c951ef08)."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A make variable that a tree of an old series needs.

    Attributes:
        name: The variable, in kbuild's words (Documentation/kbuild/kbuild.rst).
        value: What it is to hold; several flags of one variable follow each other.
        before: The first series that needs it no more.
        arches: The architectures (kbuild's SRCARCH) that need it; empty: all.
        why: What happens without it.
        ended: What made it needless: the commit, and its title.
    """

    name: str
    value: str
    before: Version
    arches: tuple[str, ...] = ()
    why: str
    ended: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


FLAGS = (
    Flag(
        name="HOSTCFLAGS",
        value="-Wall -Wmissing-prototypes -Wstrict-prototypes -O2 -fomit-frame-pointer -std=gnu89",
        before=(4, 19),
        why="on make's command line the variable takes the place of the tree's own flags, which are these",
        ended="96f14fe738b6 kbuild: Rename HOSTCFLAGS to KBUILD_HOSTCFLAGS",
    ),
    Flag(
        name="HOSTCFLAGS",
        value="-fcommon",
        before=(5, 6),
        why="gcc 10 merges no variables that two files define: dtc does not link (multiple definition of `yylloc')",
        ended="e33a814e772c scripts/dtc: Remove redundant YYLOC global declaration",
    ),
    Flag(
        name="KCFLAGS",
        value="-fno-PIE",
        before=(4, 9),
        why="Debian's gcc makes position-independent code unless told otherwise: 'code model kernel does not support "
        "PIC mode'",
        ended="8ae94224c9d7 kbuild: add -fno-PIE",
    ),
    Flag(
        name="KAFLAGS",
        value="-fno-PIE",
        before=(4, 9),
        why="as for KCFLAGS, for what gcc assembles",
        ended="8ae94224c9d7 kbuild: add -fno-PIE",
    ),
    Flag(
        name="KCFLAGS",
        value="-fno-optimize-sibling-calls",
        before=(5, 7),
        arches=("x86",),
        why="gcc 10 ends start_secondary() in a jump, past the check of a stack canary that has just changed: the "
        "kernel panics when it starts its second CPU ('stack-protector: Kernel stack is corrupted')",
        ended="a9a3ed1eff36 x86: Fix early boot crash on gcc-10, third try",
    ),
)
"""What trees need with the compiler of their suite. None of it changes what a newer stable release of the same series,
which has the commit too, is compiled to in a way that matters."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What no flag helps against: the tree has to have the commit, by its stable release or by a patch.

    Attributes:
        before: The first series that has it from its start.
    """

    before: Version
    arches: tuple[str, ...] = ()
    what: str
    commit: str


LIMITS = (
    Limit(
        before=(4, 11),
        what="gcc 7 and newer: 'undefined reference to `____ilog2_NaN''",
        commit="474c90156c8d give up on gcc ilog2() constant optimizations",
    ),
    Limit(
        before=(4, 16),
        arches=("x86",),
        what="binutils 2.31 and newer: 'Unsupported relocation type: R_X86_64_PLT32', and modules that do not load",
        commit="b21ebf2fb4cd x86: Treat R_X86_64_PLT32 as R_X86_64_PC32",
    ),
    Limit(
        before=(4, 17),
        what="make 4.3 and newer: what has a # in its command is always made again",
        commit="9564a8cf422d Kbuild: fix # escaping in .cmd files for future Make",
    ),
    Limit(
        before=(4, 18),
        what="make 4.3 and newer: objtool is not made (`.fixdep.o.cmd:1: *** missing separator')",
        commit="9feeb638cde0 tools build: fix # escaping in .cmd files for future Make",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """What compiles a kernel.

    Attributes:
        suite: The Debian suite.
        compiler: gcc or clang.
        why: Why it is this suite, for people.
        auto: It was chosen by the kernel's version, as far as that was known.
    """

    suite: str
    compiler: Compiler
    why: str
    auto: bool = False

    def __str__(self) -> str:
        known = find_suite(self.suite)
        if known is None:
            return f"{self.compiler} of Debian's {self.suite}"
        number = known.gcc if self.compiler == "gcc" else known.clang
        return f"{self.compiler} {number} of Debian {known.debian} ({known.name})"


def series_of(version: str) -> Version | None:
    """The series of a kernel version (`6.12.64`, `6.12`, `6.13-rc1`); None for what names none."""
    match = re.match(r"(\d+)\.(\d+)(?!\d)", version)
    return (int(match[1]), int(match[2])) if match else None


def find_suite(name: str) -> Suite | None:
    return next((suite for suite in SUITES if suite.name == name), None)


def suite_for(version: str) -> Suite:
    """The suite whose compiler fits a kernel version; the newest for one that names no series."""
    series = series_of(version)
    if series is None:
        return NEWEST
    return next(suite for suite in reversed(SUITES) if suite.since <= series)


def choose(wanted: str, compiler: Compiler, version: str, known_from: str) -> Toolchain:
    """The toolchain of a project.

    Args:
        wanted: A suite, or `auto`.
        version: The kernel's version as far as it is known, `6.12`; empty when it is not.
        known_from: What tells it (`the settings`), or why nothing does.
    """
    if wanted != "auto":
        return Toolchain(suite=wanted, compiler=compiler, why="named by toolchain.suite")
    suite = suite_for(version)
    if series_of(version) is None:
        return Toolchain(suite=suite.name, compiler=compiler, why=f"the newest: {known_from}", auto=True)
    why = f"for Linux {version}, by {known_from}: {suite.why}"
    return Toolchain(suite=suite.name, compiler=compiler, why=why, auto=True)


def misfit(toolchain: Toolchain | None, version: str) -> str | None:
    """What is to be said of a toolchain that was chosen before the version was known; None when it fits."""
    fits = suite_for(version)
    if toolchain is None or not toolchain.auto or fits.name == toolchain.suite:
        return None
    return (
        f"Linux {version} fits Debian's {fits.name}, and is compiled by {toolchain}: set toolchain.suite to {fits.name}"
    )


def check_llvm(compiler: Compiler, version: str, known_from: str, where: Path) -> None:
    """See that a kernel can be compiled by what is asked for.

    Args:
        where: The settings file.

    Raises:
        InputError: It is to be clang, and the kernel is older than LLVM=1.
    """
    series = series_of(version)
    if compiler == "clang" and series and series < LLVM_SINCE:
        raise InputError(
            f"Linux {version} (by {known_from}) cannot be compiled by clang: LLVM=1 came with Linux 5.7",
            where=where,
            hint="set toolchain.compiler to gcc, or build a newer kernel",
        )


def flags_for(version: str, srcarch: str) -> tuple[Flag, ...]:
    """The make variables that a kernel of this version needs; none for a version that names no series."""
    series = series_of(version)
    return tuple(flag for flag in FLAGS if series and series < flag.before and _is_for(flag.arches, srcarch))


def limits_for(version: str, srcarch: str) -> tuple[Limit, ...]:
    """What may keep a kernel of this version from being compiled."""
    series = series_of(version)
    return tuple(limit for limit in LIMITS if series and series < limit.before and _is_for(limit.arches, srcarch))


def _is_for(arches: tuple[str, ...], srcarch: str) -> bool:
    return not arches or srcarch in arches


def make_variables(version: str, srcarch: str) -> Mapping[str, str]:
    """The same as make's variables."""
    found: dict[str, list[str]] = {}
    for flag in flags_for(version, srcarch):
        found.setdefault(flag.name, []).append(flag.value)
    return {name: " ".join(values) for name, values in found.items()}


def make_words(version: str, srcarch: str) -> str:
    """The same as words of a command line, quoted for a shell (`builder.stages.maketools` takes them apart)."""
    return shlex.join(f"{name}={value}" for name, value in make_variables(version, srcarch).items())
