"""Checks of what went where: modules and firmware between the packages, lists, manifest and checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from tarfile import TarInfo
from typing import Any

from builder.verify.archives import INDEX
from builder.verify.links import links_of, problem
from builder.verify.model import Finding, check, count, skipped, verdict
from builder.verify.subject import MODULE_KINDS, Subject, plain

LISTS = {"kernel": "modules-main.list", "extras": "modules-extra.list"}
_MODINFO_SINCE = (5, 2)
"""The kernel that first had modules.builtin.modinfo."""


@check("module-lists", meaning="the lists of what went where, by which people look for a module, are wrong")
def module_lists(subject: Subject) -> Finding:
    """modules-main.list and modules-extra.list name the modules of the two packages, sorted, each once."""
    wrong, seen = [], []
    for kind, name in LISTS.items():
        path = subject.release.file(name)
        if not path.is_file() or kind not in subject.release.packages:
            continue
        listed = path.read_text(errors="replace").splitlines()
        found = {module for module, _ in _modules(subject, kind)}
        seen.append(f"{name} with {count(len(listed), 'module')}")
        wrong += [f"{name} lacks {module}" for module in sorted(found - {*listed})]
        wrong += [f"{name} has {module}, which the {kind} package has not" for module in sorted({*listed} - found)]
        if listed != sorted(set(listed)):
            wrong.append(f"{name} is not sorted, or has a line twice")
    return verdict(", ".join(seen), wrong) if seen else skipped("there are no lists of modules")


def _modules(subject: Subject, kind: str) -> Iterator[tuple[str, str]]:
    """The modules of a package by their paths under lib/modules/V, each with the suffix of its compression."""
    module = re.compile(re.escape(f"lib/modules/{subject.release.v}/") + r"(.+\.ko)(\.gz|\.xz|\.zst)?")
    for member in subject.members(kind):
        if match := module.fullmatch(plain(member.name)):
            yield match[1], match[2] or ""


@check("split", meaning="installing the extras overwrites files of the kernel package")
def split(subject: Subject) -> Finding:
    """No file is in both the kernel and the extras package; indexes in the extras are another check's."""
    files = [{name for name in _files(subject, kind) if not INDEX.fullmatch(name)} for kind in MODULE_KINDS]
    return verdict(
        f"{count(len(files[0]), 'file')} and {count(len(files[1]), 'file')}",
        [f"{name} is in both" for name in sorted(files[0] & files[1])],
    )


def _files(subject: Subject, kind: str) -> set[str]:
    return {plain(member.name) for member in subject.members(kind) if not member.isdir()}


@check("modules-built", meaning="a driver that was built is in no package, or one is there that this build never made")
def modules_built(subject: Subject) -> Finding:
    """Both packages together hold what modules.order, which names what is below kernel/, says was built."""
    order = subject.modules_folder("kernel") / "modules.order"
    if not order.is_file():
        return skipped("there is no modules.order")
    built = {line.strip() for line in order.read_text(errors="replace").splitlines() if line.strip()}
    shipped = {module for kind in MODULE_KINDS for module, _ in _modules(subject, kind)}
    wrong = [f"{module} was built and is in no package" for module in sorted(built - shipped)]
    wrong += [f"{name} was not built" for name in sorted(shipped - built) if name.startswith("kernel/")]
    return verdict(f"{count(len(built), 'module')} built", wrong)


@check(
    "checksums",
    meaning="a file is not the one that was released, or not summed up: SHA256SUMS cannot vouch for it",
    ahead=Subject.sum_ahead,
)
def checksums(subject: Subject) -> Finding:
    """SHA256SUMS has every file of the release, and the files are what it says."""
    root, sums = subject.release.root, subject.release.root / "SHA256SUMS"
    if not sums.is_file():
        return skipped("there is no SHA256SUMS")
    wrong, listed = [], set()
    for line in sums.read_text(errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not match:
            wrong.append(f"this is no line of sha256sum: {line[:100]}")
        elif _leaves(match[2]):
            wrong.append(f"{match[2]} is outside of the release")
        elif not (root / match[2]).is_file():
            wrong.append(f"{match[2]} is not there")
        else:
            listed.add(root / match[2])
            if subject.sha256(root / match[2]) != match[1]:
                wrong.append(f"{match[2]} has another content")
    wrong += [f"{path.name} is not in SHA256SUMS" for path in _released(subject) if path not in listed]
    return verdict(f"{count(len(listed), 'file')} summed up", wrong)


def _leaves(name: str) -> bool:
    """Whether a path of a file of the release leads elsewhere."""
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def _released(subject: Subject) -> list[Path]:
    """The files that belong to a release for sure: those of its folder `kernel`, else the packages."""
    release = subject.release
    folder = release.kernel_folder
    files = folder.iterdir() if folder != release.root else release.packages.values()
    return sorted(path for path in files if path.is_file())


@check("manifest", meaning="manifest.json, by which programs and people know the release, tells of another one")
def manifest(subject: Subject) -> Finding:
    """manifest.json: V, A, the files with size and checksum, the images."""
    release, told = subject.release, subject.release.manifest
    if not told:
        return skipped("there is no manifest.json")
    wrong = [
        f"its {key} is {told.get(key)}, not {value}"
        for key, value in (("release", release.v), ("arch", release.a))
        if told.get(key) != value
    ]
    images, outputs = _mapping(told, "images"), _mapping(told, "outputs")
    if list(images) != list(release.images):
        wrong.append("its images are not those of the file images")
    wrong += _wrong_outputs(subject, outputs)
    return verdict(f"{count(len(outputs), 'file')} and {count(len(images), 'image')}", wrong)


def _mapping(told: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = told.get(key)
    return value if isinstance(value, dict) else {}


def _wrong_outputs(subject: Subject, outputs: dict[str, Any]) -> Iterator[str]:
    root = subject.release.root
    for name, entry in outputs.items():
        if _leaves(name) or not (root / name).is_file():
            yield f"{name} is not there"
        elif not isinstance(entry, dict) or entry.get("size") != (root / name).stat().st_size:
            yield f"{name} has another size"
        elif entry.get("sha256") != subject.sha256(root / name):
            yield f"{name} has another content"
    for path in _released(subject):
        if str(path.relative_to(root)) not in outputs:
            yield f"{path.name} is not in it"


@check("build-links", meaning="lib/modules/V/build points to a folder of whoever built the kernel")
def build_links(subject: Subject) -> Finding:
    """No absolute links `build` and `source` beside the modules."""
    wrong = [
        f"{kind}: {plain(member.name)} links to {member.linkname}"
        for kind in MODULE_KINDS
        if kind in subject.release.packages
        for member in subject.members(kind)
        if _is_build_link(member)
    ]
    return verdict("no absolute build or source link" if not wrong else "absolute links", wrong)


def _is_build_link(member: TarInfo) -> bool:
    named = re.fullmatch(r"lib/modules/[^/]+/(?:build|source)", plain(member.name))
    return bool(named) and member.issym() and member.linkname.startswith("/")


@check("links", meaning="a file that is there under a further name, firmware for example, is not found by it")
def links(subject: Subject) -> Finding:
    """Symbolic links stay in their package, and lead to what ships; in the extras also to the kernel package's."""
    wrong, number = [], 0
    names: set[str] = set()
    known: dict[str, str] = {}
    for kind in MODULE_KINDS:
        if kind not in subject.release.packages:
            continue
        members = subject.members(kind)
        names |= {plain(member.name) for member in members}
        own = links_of(member for member in members if not _is_build_link(member))
        known |= own
        number += len(own)
        wrong += [f"{kind}: {what}" for link in own if (what := problem(link, known, names))]
    return verdict(count(number, "link"), wrong)


@check("plain-modules", meaning="the OS's kmod, which is older than compressed modules, loads none of them")
def plain_modules(subject: Subject) -> Finding:
    found = [
        (kind, module, end)
        for kind in MODULE_KINDS
        if kind in subject.release.packages
        for module, end in _modules(subject, kind)
    ]
    wrong = [f"{kind}: {module} is compressed" for kind, module, end in found if end]
    return verdict(f"{count(len(found), 'module')}, not compressed" if not wrong else "compressed modules", wrong)


@check("depmod-inputs", meaning="depmod warns, or modprobe takes what is built in for missing")
def depmod_inputs(subject: Subject) -> Finding:
    """modules.order, modules.builtin and modules.builtin.modinfo are in the kernel package."""
    v = subject.release.v
    needed = ["modules.order", "modules.builtin"]
    version = re.match(r"(\d+)\.(\d+)", v)
    if version is None or (int(version[1]), int(version[2])) >= _MODINFO_SINCE:
        needed.append("modules.builtin.modinfo")
    files = _files(subject, "kernel")
    wrong = [f"lib/modules/{v}/{name} is missing" for name in needed if f"lib/modules/{v}/{name}" not in files]
    return verdict(", ".join(needed), wrong)


@check("firmware-revision", meaning="nobody can tell which firmware this is, or whether a fix is in it")
def firmware_revision(subject: Subject) -> Finding:
    """Where firmware ships, lib/firmware/.git-commit of the kernel package names its revision."""
    mark = "lib/firmware/.git-commit"
    kinds = [kind for kind in MODULE_KINDS if kind in subject.release.packages]
    files = {name for kind in kinds for name in _files(subject, kind) if name.startswith("lib/firmware/")} - {mark}
    if not files:
        return skipped("no firmware ships")
    path = subject.tree("kernel") / mark
    revision = path.read_text(errors="replace").strip() if path.is_file() else ""
    wrong = [] if revision else [f"the kernel package has no {mark}, or an empty one"]
    return verdict(f"{count(len(files), 'file')} of firmware, revision {revision[:60] or 'unknown'}", wrong)
