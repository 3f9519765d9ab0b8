"""Builds a module in one console: a solve of dockerfiles/headers-test.Dockerfile, and what it exported."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.context import dockerfiles
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.engine.events import BuildState, LogLine
from builder.errors import EngineError, InputError
from builder.headerstest.consoles import Console
from builder.headerstest.makelog import option_of, read_log
from builder.releasefolder import ReleaseFolder
from builder.solver import unpack
from builder.stages.common import StageError
from builder.stages.elf import modinfo

PROBE = Path(__file__).resolve().parent / "probe"
"""The source of the module that is built when no other is asked for."""

_SCRIPTS = ("console.sh", "musl.sh")
_UNPACKERS = {".gz": "", ".zst": "zstd", ".xz": "xz-utils"}
_SHOWN_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of building a module in one console.

    Attributes:
        compiler, libc: What the console has (`gcc (Debian 10.2.1-6) 10.2.1 20210110`, `glibc 2.31`).
        other_compiler: The kernel's own compiler, where kbuild says that it is another one; this alone is no fault.
        modules: What was built.
        warnings: All that was warned of beside that.
        problems: What is wrong, a line each; empty when all is well.
        log: All that make printed.
    """

    console: Console
    compiler: str
    libc: str
    other_compiler: str | None
    modules: tuple[Path, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    log: str

    @property
    def ok(self) -> bool:
        return not self.problems


def write_context(release: ReleaseFolder, module: Path, folder: Path) -> None:
    """Fill `folder` with what the stages copy: the headers package, the module's source and the scripts.

    Raises:
        InputError: The release has no headers package, or the module's source cannot be read.
    """
    try:
        package = release.packages["headers"]
    except KeyError:
        hint = "build it with `rosk build`, or name another folder"
        raise InputError("the release has no headers package", where=release.kernel_folder, hint=hint) from None
    if not any((module / name).is_file() for name in ("Kbuild", "Makefile")):
        raise InputError("there is no Kbuild or Makefile in it", where=module, hint="name the folder of a module")
    for name in ("headers", "console"):
        (folder / name).mkdir(parents=True)
    # Files are written anew, so that their times are new: BuildKit takes an equal size and time for an equal file.
    shutil.copyfile(package, folder / "headers" / package.name)
    for name in _SCRIPTS:
        shutil.copyfile(PROBE.parent / name, folder / "console" / name)
    try:
        shutil.copytree(module, folder / "module", symlinks=True, copy_function=shutil.copyfile)
    except (OSError, shutil.Error) as error:
        raise InputError(f"it cannot be read: {error}", where=module, hint="name the folder of a module") from error


def console_plan(release: ReleaseFolder, console: Console, base: str, *, context: Path, output: Path) -> dict[str, Any]:
    """The bake file of one console.

    Args:
        base: The reference of the suite's base image.
        context: What `write_context` filled.
        output: The tar archive that receives what came of it.
    """
    target = {
        "context": str(context),
        "dockerfile": str(dockerfiles() / "headers-test.Dockerfile"),
        "target": "result",
        "args": {
            "BASE": base,
            "CONSOLE": console.kind,
            "PACKAGES": " ".join(console.packages),
            "UNPACKER": _UNPACKERS.get(release.packages["headers"].suffix, ""),
            "RELEASE": release.v,
            "LLVM": "1" if console.llvm else "",
        },
        "output": [f"type=tar,dest={output}"],
    }
    return {"target": {"result": target}}


def try_console(
    engine: Docker, base: BaseImage, release: ReleaseFolder, console: Console, *, context: Path, folder: Path
) -> Tried:
    """Build the module of a context in a console.

    Args:
        folder: A folder that is made, and holds what was built.

    Raises:
        EngineError: The console could not be made. A module that does not build is no error, but a result.
    """
    folder.mkdir(parents=True)
    tar = folder / "result.tar"
    state, tail = BuildState(), deque[str](maxlen=_SHOWN_LINES)

    def follow(line: str) -> None:
        tail.extend(event.text for event in state.feed(line.encode()) if isinstance(event, LogLine))

    plan = console_plan(release, console, base.ref, context=context, output=tar)
    try:
        engine.bake(plan, epoch=0, on_output=follow)
    except SolveError as error:
        raise EngineError(
            f"the console {console.title} could not be made: {error.what}",
            hint="Debian's packages have to be reachable from the engine once; then the console is kept",
            details=tail,
        ) from error
    unpack(tar, folder)
    return read_result(console, folder, release.v)


def read_result(console: Console, folder: Path, v: str) -> Tried:
    """Read what console.sh left."""
    text = (folder / "log").read_text(errors="replace")
    log = read_log(text)
    code = int((folder / "code").read_text())
    modules = tuple(sorted((folder / "modules").glob("*.ko")))
    problems: list[str] = []
    if code != 0:
        makefiles = (folder / "makefiles").read_text(errors="replace")
        options = {flag: option_of(flag, makefiles) for flag in log.unknown_flags}
        problems += [
            f"its compiler does not know {flag}" + (f", which is used for {option}" if option else "")
            for flag, option in options.items()
        ]
        problems += log.errors if not problems else []
        problems = problems or [f"make ended with code {code}"]
    elif not modules:
        problems.append("make built no module")
    problems += [f"a warning: {line}" for line in log.warnings]
    problems += _of_another_kernel(modules, v)
    return Tried(
        console=console,
        compiler=_first_line(folder / "compiler"),
        libc=libc_name((folder / "libc").read_text(errors="replace")),
        other_compiler=log.other_compiler,
        modules=modules,
        warnings=log.warnings,
        problems=tuple(problems),
        log=text,
    )


def _of_another_kernel(modules: tuple[Path, ...], v: str) -> Iterator[str]:
    """Modules that the kernel would refuse for their vermagic (include/linux/vermagic.h)."""
    for path in modules:
        try:
            magic = modinfo(path).get("vermagic", [""])[0]
        except StageError as error:
            yield error.what
            continue
        if magic.split()[:1] != [v]:
            yield f"{path.name} has the vermagic {magic!r}, not that of {v}"


def libc_name(text: str) -> str:
    """The C library by what `ldd --version` prints: glibc's has its version at the end of the first line."""
    first, _, rest = text.partition("\n")
    if first.startswith("musl"):
        return f"musl {rest.partition('Version')[2].split()[0]}" if "Version" in rest else "musl"
    version = re.search(r"[\d.]+$", first)
    return f"glibc {version[0]}" if version else first


def _first_line(path: Path) -> str:
    return path.read_text(errors="replace").partition("\n")[0]
