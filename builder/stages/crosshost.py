"""The host programs of the headers package, made again for the machine that modules will be built on.

kbuild makes its host programs (Documentation/kbuild/makefiles.rst, "Host Program support") for the machine that
compiles the kernel, which in a cross build is not where modules are built. It runs some of them while it compiles, so
it cannot simply be told to make others. But it notes beside each target the command that made it (`.modpost.cmd`):
these are run again here, with the cross compiler, into a folder of their own. Upstream's
scripts/package/install-extmod-build does the like for fixdep and modpost since Linux 6.12, with kbuild's own rules.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builder.stages.common import StageError, run
from builder.stages.elf import read_elf

# Linux 6.3 renamed it (scripts/Kbuild.include, make-cmd); `$` and `#` are escaped as in a Makefile.
_NOTE = re.compile(r"^(?:saved)?cmd_\S+ := (.*)$", re.MULTILINE)
_DEPENDENCIES = ("-Wp,-MMD,", "-Wp,-MD,")
_HOST_COMPILER = "gcc"
# Programs of the build alone, which the headers package has not.
_NOT_SHIPPED = ("scripts/dtc", "scripts/kconfig")
NEEDS = {
    "GCC_PLUGINS": "gcc's plugins",
    "OBJTOOL": "objtool",
    "STACK_VALIDATION": "objtool",
    "DEBUG_INFO_BTF_MODULES": "resolve_btfids",
}
"""Options with which building a module takes a program that cannot be made for another machine: kbuild leaves no note
of how it was linked, or it belongs to another compiler."""


def refused(values: Mapping[str, str]) -> str | None:
    """The first option of a config that a cross build cannot have, or None."""
    return next((option for option in NEEDS if values.get(option) == "y"), None)


class CrossHost:
    """Makes host programs again.

    Args:
        obj: The object tree that has been built, with kbuild's notes in it.
        work: A folder of its own for what is made; removed before and after.
        compiler: The cross compiler.
    """

    def __init__(self, obj: Path, work: Path, compiler: str) -> None:
        self.obj, self.work, self.compiler = obj, work, compiler

    def replace(self, out: Path, jobs: int) -> list[str]:
        """Replace the programs in a copy of parts of the object tree; returns their names.

        Raises:
            StageError: One cannot be made again.
        """
        shutil.rmtree(self.work, ignore_errors=True)
        names = list(_programs(out))
        with ThreadPoolExecutor(jobs) as pool:
            for name, made in zip(names, pool.map(self._program, names), strict=True):
                shutil.copyfile(made, out / name)
        shutil.rmtree(self.work)
        return names

    def _program(self, name: str) -> Path:
        return self._make(name, self.work / name.replace("/", "-"))

    def _make(self, name: str, work: Path) -> Path:
        """Make one target of the object tree, with the objects in it, as its note says."""
        words = _command(self.obj, name)
        if words is None:
            raise StageError(
                f"{name} cannot be made for the kernel's architecture: kbuild left no note of how",
                hint="build on a machine of that architecture",
            )
        made = work / name
        made.parent.mkdir(parents=True, exist_ok=True)
        operands = [str(made) if before == "-o" else self._input(word, work) for before, word in _pairs(words)]
        run([self.compiler, *operands], cwd=self.obj)
        return made

    def _input(self, word: str, work: Path) -> str:
        """A word of a command; an object, made for the other machine as well."""
        if not word.endswith(".o") or word.startswith("-"):
            return word
        if _command(self.obj, word) is not None:
            return str(self._make(word, work))
        source = (self.obj / word).with_suffix(".c")
        if not source.is_file():
            raise StageError(
                f"kbuild left no note of how {word} is made", hint="build on a machine of that architecture"
            )
        made = work / source.with_suffix(".o").name
        made.parent.mkdir(parents=True, exist_ok=True)
        run([self.compiler, "-O2", "-c", "-o", made, source])
        return str(made)


def _programs(out: Path) -> Iterator[str]:
    """The ELF files below a folder, relative to it."""
    for folder, folders, files in os.walk(out):
        here = Path(folder).relative_to(out)
        folders[:] = sorted(name for name in folders if str(here / name) not in _NOT_SHIPPED)
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and _is_elf(path):
                yield str(here / name)


def _is_elf(path: Path) -> bool:
    try:
        read_elf(path)
    except StageError:
        return False
    return True


def _command(obj: Path, name: str) -> list[str] | None:
    """The command that made a target with the host's compiler, without that and what only kbuild has a use for."""
    target = Path(name)
    try:
        text = (obj / target.with_name(f".{target.name}.cmd")).read_text()
    except FileNotFoundError:
        return None
    if (note := _NOTE.search(text)) is None:
        return None
    words = shlex.split(note[1].replace("$(pound)", "#").replace("$$", "$"))
    if words[:1] == ["ccache"]:
        del words[0]
    if words[:1] != [_HOST_COMPILER]:
        return None
    return [word for word in words[1:] if not word.startswith(_DEPENDENCIES)]


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each word with the one before it."""
    return zip(["", *words], words, strict=False)
