"""The programs in the headers package: they run wherever modules are built, on any libc and on none."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.arch import host_arch
from builder.errors import RoskError
from builder.process import run
from builder.stages.common import StageError
from builder.stages.elf import libraries
from builder.verify.model import Finding, Status, check, count, skipped, unchecked, verdict
from builder.verify.shipped import config, is_on
from builder.verify.subject import Subject
from builder.verify.versions import ELF_MACHINES

# What kbuild runs while it builds an external module. With no arguments each says how it is used, or does nothing.
RUN_BY_KBUILD = (
    "scripts/basic/fixdep",
    "scripts/mod/modpost",
    "scripts/genksyms/genksyms",
    "tools/objtool/objtool",
    "tools/bpf/resolve_btfids/resolve_btfids",
)
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_ET_REL, _PT_INTERP = 1, 3
# chroot(1): the program was not found (its loader neither), or could not be started.
_NOT_STARTED = {126: "cannot be started", 127: "needs a loader or a library that is not there"}
_NOBODY = 65534
_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program for Linux: its path in the package, `e_machine`, and whether it asks for a dynamic loader."""

    name: str
    machine: int
    dynamic: bool


def programs(subject: Subject) -> Iterator[Program]:
    """The ELF programs of the headers package; objects and plugins (`.so`) are none."""
    for name in subject.headers.names:
        content = subject.headers.read(name) or b""
        if name.endswith(".so") or content[:6] != b"\x7fELF\x02\x01" or len(content) < _HEADER.size:
            continue
        kind, machine, _, _, offset, _, _, _, size, number, _, _, _ = _HEADER.unpack_from(content)
        if kind != _ET_REL:
            types = [row[:4] for row in _rows(content[offset : offset + size * number], size)]
            dynamic = struct.pack("<I", _PT_INTERP) in types
            yield Program(name=name, machine=machine, dynamic=dynamic)


def _rows(table: bytes, size: int) -> list[bytes]:
    return [table[at : at + size] for at in range(0, len(table), size)] if size else []


@check(
    "host-programs",
    meaning="no module can be built where the C library is musl, or older than the builder's",
    of="headers",
)
def host_programs(subject: Subject) -> Finding:
    """Each program is static, and of the release's architecture; where gcc's plugins are on, they cannot be static."""
    machine = ELF_MACHINES.get(subject.release.a)
    plugins = is_on(config(subject), "GCC_PLUGINS")
    wrong, looked = [], 0
    for program in programs(subject):
        looked += 1
        if program.dynamic and not plugins:
            wrong.append(f"{program.name} is not static: it needs {_needed(subject.tree('headers') / program.name)}")
        if machine is not None and program.machine != machine:
            wrong.append(f"{program.name} is for another machine (ELF machine {program.machine})")
    return verdict(f"{count(looked, 'program')}{'' if wrong else ', all static'}", wrong)


def _needed(path: Path) -> str:
    try:
        loader, names = libraries(path)
    except StageError:
        return "a dynamic loader"
    return ", ".join([loader or "a dynamic loader", *names])


@check("host-programs-run", meaning="no module can be built: the programs that kbuild runs do not start", cheap=False)
def host_programs_run(subject: Subject) -> Finding:
    """The programs that kbuild runs start in an empty root, as nobody: so they start with musl and with any glibc."""
    if subject.release.a != host_arch().name:
        return skipped(f"this machine cannot run programs of {subject.release.a}")
    if os.geteuid() != 0:
        return Finding(status=Status.UNCHECKED, saw="only root can run programs in an empty root")
    if shutil.which("chroot") is None:
        return unchecked("chroot")
    if os.statvfs(subject.work).f_flag & os.ST_NOEXEC:
        return Finding(status=Status.UNCHECKED, saw=f"no program can be run from {subject.work} (noexec)")
    tree = subject.tree("headers")
    names = [name for name in RUN_BY_KBUILD if (tree / name).is_file()]
    wrong = [f"{name} {problem}" for name in names if (problem := _problem(tree / name, subject.work))]
    listed = ", ".join(Path(name).name for name in names) or "no program"
    return verdict(f"{listed}, in an empty root, where there is no C library at all", wrong)


def _problem(program: Path, work: Path) -> str:
    """Why a program does not start; empty when it does, whatever it says then of having no arguments."""
    with TemporaryDirectory(prefix="root-", dir=work) as root:
        Path(root).chmod(0o755)
        target = Path(root, program.name)
        shutil.copyfile(program, target)
        target.chmod(0o755)
        who = f"--userspec={_NOBODY}:{_NOBODY}"
        try:
            done = run(["chroot", who, "--groups=", root, f"/{program.name}"], check=False, timeout=_SECONDS)
        except RoskError:
            return f"did not end within {_SECONDS:g} s"
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    return _NOT_STARTED.get(done.returncode, "")
