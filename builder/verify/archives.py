"""Checks of the packages as archives: readable by whoever unpacks them, and harmless and complete when unpacked."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tarfile import TarInfo

from builder.errors import RoskError
from builder.process import run
from builder.releasefolder import KINDS
from builder.stages.compressor import format_of
from builder.stages.firmwaretree import REPOSITORY
from builder.verify.links import links_of, through
from builder.verify.model import Finding, MissingProgram, check, count, skipped, verdict
from builder.verify.privatekeys import private_key
from builder.verify.subject import MODULE_KINDS, Subject, plain

_PACKAGE = re.compile(r"(?:extra-|build-)?linux-.+\.(?:tar\.(?:gz|xz|zst)|tgz)")
INDEX = re.compile(r"lib/modules/[^/]+/modules\.[^/]+")
"""What depmod reads and writes beside the modules."""
_BUSYBOX = {"gzip": "-z", "xz": "-J"}
_DECOMPRESSORS = {"gzip": "gzip", "xz": "xz", "zstd": "zstd"}


@check("packages", meaning="what takes a package by its name does not find it, or takes that of another release")
def packages(subject: Subject) -> Finding:
    release = subject.release
    wrong = [f"there is no {kind} package" for kind in KINDS if kind not in release.packages]
    own = {path.name for path in release.packages.values()}
    files = sorted(path.name for path in release.kernel_folder.iterdir() if _PACKAGE.fullmatch(path.name))
    wrong += [f"{name} is of another release than the kernel package" for name in files if name not in own]
    return verdict(f"{count(len(own), 'package')} of {release.v} for {release.a}", wrong)


@check("readable", meaning="unpacking a package stops with an error, or leaves files out")
def readable(subject: Subject) -> Finding:
    """Nothing damaged or cut, nothing behind the archive's end."""
    wrong = []
    subject.read_all()
    for kind in subject.unproved("readable"):
        contents = subject.contents(kind)
        wrong += [f"{_name(subject, kind)}: {what}" for what in (contents.damage, contents.garbage) if what]
    return verdict(f"{count(len(subject.installed), 'package')}, from the first byte to the last", wrong)


@check("readable-gnu-tar", meaning="GNU tar does not unpack a package, or sees other files in it", cheap=False)
def readable_by_gnu_tar(subject: Subject) -> Finding:
    if shutil.which("tar") is None or "GNU tar" not in run(["tar", "--version"], check=False).stdout:
        raise MissingProgram("GNU tar")
    wrong: list[str] = []
    for kind, package in subject.release.packages.items():
        program = _DECOMPRESSORS[format_of(package.name)]
        if shutil.which(program) is None:
            raise MissingProgram(program)
        wrong += _listed_by(subject, kind, ["tar", "--quoting-style=literal", "-tf", package])
    return verdict(f"{count(len(subject.release.packages), 'package')} listed by GNU tar", wrong)


@check("readable-busybox", meaning="busybox does not unpack a package, or sees other files in it", cheap=False)
def readable_by_busybox(subject: Subject) -> Finding:
    if shutil.which("busybox") is None:
        raise MissingProgram("busybox")
    formats = {kind: _BUSYBOX.get(format_of(path.name)) for kind, path in subject.release.packages.items()}
    wrong: list[str] = []
    for kind, flag in formats.items():
        if flag is None:
            return skipped("busybox has no zstd")
        wrong += _listed_by(subject, kind, ["busybox", "tar", "-t", flag, "-f", subject.release.packages[kind]])
    return verdict(f"{count(len(formats), 'package')} listed by busybox", wrong)


def _listed_by(subject: Subject, kind: str, argv: Sequence[str | Path]) -> Iterator[str]:
    """What a program does not list as Python does."""
    try:
        done = run(argv)
    except RoskError as error:
        yield f"{_name(subject, kind)}: {'; '.join(error.details) or error.what}"
        return
    contents = subject.contents(kind)
    names = [
        _comparable(member.name.encode(errors="surrogateescape").decode(errors="replace"))
        for member in contents.members
    ]
    seen = [_comparable(line) for line in done.stdout.splitlines()]
    if seen != names and not contents.damage:
        other = next(iter((Counter(seen) - Counter(names)) or (Counter(names) - Counter(seen))), "their order")
        yield f"{_name(subject, kind)}: {len(names)} members are listed as {len(seen)}; differs: {other}"


def _comparable(name: str) -> str:
    """A name without what programs show in their own ways: a slash at its start or end."""
    return name.strip("/")


@check(
    "source-package", meaning="tools that need the kernel's source do not find it in the source package", cheap=False
)
def source_package(subject: Subject) -> Finding:
    """It can be read to its end, and holds one tree with a Makefile."""
    if "source" not in subject.release.packages:
        return skipped("there is no source package")
    contents = subject.contents("source")
    wrong = [what for what in (contents.damage, contents.garbage) if what]
    if not contents.damage:
        names = {plain(member.name) for member in contents.members}
        tops = {name.partition("/")[0] for name in names if name}
        if "Makefile" not in names and not (len(tops) == 1 and f"{min(tops)}/Makefile" in names):
            wrong.append("there is no Makefile at its top, nor in its only folder")
        wrong += _escapes(contents.members)
    return verdict(count(len(contents.members), "member"), wrong)


@check("source-secrets", meaning="who has the package can sign modules that this kernel trusts", cheap=False)
def source_secrets(subject: Subject) -> Finding:
    """None of its certificates is a private key; elsewhere the kernel's tests have keys of their own."""
    if "source" not in subject.release.packages:
        return skipped("there is no source package")
    tree = subject.tree("source")
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    found = ((path, private_key("", path.read_bytes())) for path in files)
    wrong = [f"{path.relative_to(tree)} {why}" for path, why in found if why]
    return verdict(f"{count(len(files), 'file')} of certs, by content", wrong)


@check("member-names", meaning="what unpacks ./boot/vmlinuz-V by that name finds nothing")
def member_names(subject: Subject) -> Finding:
    """The literal names of the kernel and the extras package start with `./`."""
    names = [
        (kind, member.name) for kind in subject.installed if kind in MODULE_KINDS for member in subject.members(kind)
    ]
    wrong = [f"{_name(subject, kind)}: {name}" for kind, name in names if name != "." and not name.startswith("./")]
    return verdict(f"{count(len(names), 'name')}, with ./ at the start", wrong)


@check("members-unique", meaning="which of two members of one name is unpacked depends on the program")
def members_unique(subject: Subject) -> Finding:
    wrong = []
    for kind in subject.unproved("members-unique"):
        counted = Counter(plain(member.name) for member in subject.members(kind))
        wrong += [
            f"{_name(subject, kind)}: {name} is there {times} times" for name, times in counted.items() if times > 1
        ]
    return verdict("each member is there once" if not wrong else "members of one name", wrong)


@check("members-inside", meaning="unpacking writes outside of the folder that it should write to", of="packages")
def members_inside(subject: Subject) -> Finding:
    wrong = [
        f"{_name(subject, kind)}: {what}"
        for kind in subject.unproved("members-inside")
        for what in _escapes(subject.members(kind))
    ]
    return verdict("all names stay inside" if not wrong else "names that lead out", wrong)


def _escapes(members: Sequence[TarInfo]) -> Iterator[str]:
    links = links_of(members)
    for member in members:
        if member.name.startswith("/"):
            yield f"{member.name} is absolute"
        elif ".." in member.name.split("/"):
            yield f"{member.name} leads out"
        elif link := through(member.name, links):
            yield f"{member.name} goes through the link {link}"
        elif member.islnk() and (member.linkname.startswith("/") or ".." in member.linkname.split("/")):
            yield f"{member.name} is a hard link out, to {member.linkname}"


@check("member-owners", meaning="files of the system belong to whoever has that number, or name, on the machine")
def member_owners(subject: Subject) -> Finding:
    wrong = [
        f"{_name(subject, kind)}: {member.name} belongs to {member.uid}:{member.gid} ({member.uname}:{member.gname})"
        for kind in subject.unproved("member-owners")
        for member in subject.members(kind)
        if (member.uid, member.gid) != (0, 0) or not {member.uname, member.gname} <= {"", "root"}
    ]
    return verdict("all members belong to 0:0" if not wrong else "owners other than 0:0", wrong)


@check("member-types", meaning="unpacking makes devices or pipes, or fails at them")
def member_types(subject: Subject) -> Finding:
    wrong = [
        f"{_name(subject, kind)}: {member.name} is of the type {member.type!r}"
        for kind in subject.unproved("member-types")
        for member in subject.members(kind)
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk())
    ]
    return verdict(
        "only files, folders and links" if not wrong else "other things than files, folders and links", wrong
    )


@check("kernel-content", meaning="the package puts files where the OS has its own")
def kernel_content(subject: Subject) -> Finding:
    names = [plain(member.name) for member in subject.members("kernel")]
    wrong = [name for name in names if not _in_folders(name, "boot", "lib/modules", "lib/firmware")]
    return verdict("only boot, lib/modules and lib/firmware" if not wrong else "members elsewhere", wrong)


@check(
    "extras-content",
    meaning="unpacking the extras overwrites the kernel's indexes, or is lost: not all is mounted there",
)
def extras_content(subject: Subject) -> Finding:
    """Modules and firmware; no index or list of modules, and none of the files of linux-firmware's repository."""
    wrong = []
    for member in subject.members("extras"):
        name = plain(member.name)
        firmware = name.removeprefix("lib/firmware/")
        if not _in_folders(name, "lib/modules", "lib/firmware"):
            wrong.append(f"{name} is in neither lib/modules nor lib/firmware")
        elif INDEX.fullmatch(name):
            wrong.append(f"{name} would overwrite the kernel package's")
        elif firmware != name and not member.isdir() and REPOSITORY.fullmatch(firmware):
            wrong.append(f"{name} is a file of linux-firmware's repository")
    return verdict("only modules and firmware" if not wrong else "other things than modules and firmware", wrong)


def _in_folders(name: str, *folders: str) -> bool:
    """Whether a name is one of the folders, below one, or on the way to one."""
    return name == "" or any(f"{name}/".startswith(f"{each}/") or each.startswith(f"{name}/") for each in folders)


def _name(subject: Subject, kind: str) -> str:
    return subject.release.packages[kind].name
