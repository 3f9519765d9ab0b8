"""What of a checkout of os-kernel has no place in a project of rosk, and why: every file that nothing else took."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from builder.arch import ARCHES
from builder.graph import TOOLCHAIN_PACKAGES, TOOLS_PACKAGES
from builder.importing.layout import Checkout
from builder.importing.report import Item, some

_REASONS = (
    ("Dockerfile.dapper", "makes Dapper's build container; what it sets was read, and rosk makes its own toolchain"),
    ("Makefile", "starts Dapper; the command is `rosk build`"),
    ("build.sh", "starts a build by its own scripts; what it sets was read, and the command is `rosk build`"),
    ("builder/Dockerfile", "makes the image of its build container; rosk makes its own toolchain"),
    ("scripts/download", "fetches the kernel unverified; rosk fetches it, and checks its checksum or signature"),
    ("scripts/extract", "unpacks and patches the kernel; a stage of rosk does so"),
    ("scripts/config-kernel", "runs menuconfig in Dapper's container; edit config/ARCH/kernel-config"),
    ("scripts/build-kernel", "compiles the kernel; a stage of rosk does so"),
    ("scripts/build-common", "splits modules, chooses firmware and headers; stages of rosk do so"),
    ("scripts/package-kernel", "makes the packages; stages of rosk do so"),
    ("scripts/build-images", "makes the images; stages of rosk do so"),
    (
        "scripts/test-firmware",
        "looks for newer firmware in a clone of linux-firmware; a build of rosk says what is missing",
    ),
    ("scripts/version", "names the build by git; rosk names it by the kernel's version and the org"),
    ("scripts/release", "writes a script that uploads to GitHub and pushes; `rosk build --push` pushes the images"),
    ("scripts/ci", "runs the other scripts; `rosk build` does it all"),
    ("scripts/clean", "removes what a build left; `rosk cache prune` does so"),
    ("scripts/entry", "is what starts in Dapper's container; rosk has none"),
    ("images/10-kernel/*", "rosk makes the image os-kernel itself; what was changed in it is not taken over"),
    ("images/10-headers/*", "rosk makes the image os-headers itself; what was changed in it is not taken over"),
    ("images/10-extras/*", "rosk makes the image os-extras itself; what was changed in it is not taken over"),
    ("images/*", "rosk makes the images os-kernel, os-headers and os-extras, and no others"),
    (".github/*", "is for GitHub's runners: have them run `rosk build`"),
    (".drone.yml", "is for another CI: have it run `rosk build`"),
    ("README.md", "is about os-kernel's own build"),
    ("LICENSE", "is os-kernel's licence: copy it, if what was taken over is to carry it"),
    ("patches/README.md", "is no patch"),
    ("patches/*", "their scripts passed over it: no name that ends in .patch, or not in the folder of an architecture"),
    ("scripts/hooks/*", "is in a folder that run-parts does not look into"),
    (".gitignore", "rosk leaves its results in dist alone, which the project's own .gitignore names"),
    (".dockerignore", "is for Dapper"),
    (".no-chown", "is for Dapper"),
    (".wrap-docker-args", "is for Dapper"),
    ("*", "no script of os-kernel that rosk knows reads it"),
)
_DOWNLOAD = re.compile(r"(?:^RUN|&&|\|\||;|\|)\s*((?:curl|wget|git clone)\s[^|&;>]*)")
_INSTALL = re.compile(r"\bapt-get\s+(?:-\S+\s+)*install\s+(.*)")
# What only people and Dapper need of its packages, or what rosk's packages bring with them.
_KNOWN = {
    *TOOLCHAIN_PACKAGES,
    *TOOLS_PACKAGES,
    *("build-essential", "curl", "dpkg-dev", "dwarves", "git", "gnupg", "gnupg2", "libncurses5-dev", "locales"),
    *("openssl", "python", "unzip", "vim", "wget"),
}


def leftovers(checkout: Checkout, taken: Collection[str]) -> Iterator[Item]:
    """What was not taken over: files and folders by what they are for, then lines of the build container.

    Args:
        checkout: The checkout.
        taken: The files of it that were taken over, or are reported already.
    """
    for name, arch in checkout.arches.items():
        if name not in ARCHES:
            has = [f"{folder}/{name}" for folder in ("config", "modules", "firmware", "patches")]
            there = [folder for folder in has if any(file.startswith(f"{folder}/") for file in checkout.files)]
            files = [file for file in checkout.files if file.startswith(tuple(f"{folder}/" for folder in there))]
            lines = sum(checkout.read(file).count(b"\n") for file in (arch.modules, arch.extra) if file)
            lists = f"; its lists have {lines} lines" if lines else ""
            yield Item(
                what=some(there),
                why=f"{len(files)} files for {name}: rosk builds for {' and '.join(ARCHES)} only{lists}",
            )
            taken = {*taken, *files}
    groups: dict[str, list[str]] = {}
    for file in checkout.files:
        if file not in taken:
            groups.setdefault(next(pattern for pattern, _ in _REASONS if fnmatchcase(file, pattern)), []).append(file)
    reasons = dict(_REASONS)
    for pattern, files in groups.items():
        yield Item(what=some(files), why=reasons[pattern])
    for folder in checkout.built:
        yield Item(what=f"{folder}/", why="was left by its build")
    if "Dockerfile.dapper" in checkout.files:
        yield from _container(checkout.read("Dockerfile.dapper").decode(errors="replace"))


def _container(text: str) -> Iterator[Item]:
    """The lines of the build container that fetch or install something."""
    further: set[str] = set()
    at = 0
    for number, line in _joined(text):
        if (match := _DOWNLOAD.search(line)) and line.startswith("RUN"):
            yield Item(
                what=f"Dockerfile.dapper:{number}",
                why=f"downloads into the build container ({match[1].strip()}): rosk's has no use for it",
            )
        for install in _INSTALL.finditer(line):
            names = re.split(r"[;&|]", install[1])[0].split()
            found = {name for name in names if re.fullmatch(r"[a-z0-9][a-z0-9+.:-]+", name)} - _KNOWN
            at = at or (number if found else 0)
            further |= found
    if further:
        yield Item(
            what=f"Dockerfile.dapper:{at}",
            why=f"installs {some(sorted(further), 20)}: what a hook needs of it goes into toolchain.packages",
        )


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """The instructions, continued lines joined and comments left out, each with its first line."""
    start, whole = 0, ""
    for number, row in enumerate(text.splitlines(), 1):
        if row.lstrip().startswith("#"):
            continue
        start = start or number
        if row.rstrip().endswith("\\"):
            whole += row.rstrip()[:-1] + " "
            continue
        yield start, whole + row
        start, whole = 0, ""
    if whole:
        yield start, whole
