"""`rosk headers test` from its first look at the release to its report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console as Screen
from rich.markup import escape

from builder.arch import host_arch
from builder.boot.run import load_external
from builder.engine.base import AUTO
from builder.errors import BuildError, EngineError, InputError
from builder.headerstest.build import PROBE, Tried, try_console, write_context
from builder.headerstest.consoles import Console, find_consoles
from builder.releasefolder import ReleaseFolder, find_release
from builder.run import prepare

_LOG_LINES = 20


@dataclass(frozen=True, kw_only=True)
class HeadersOptions:
    """How to test.

    Attributes:
        consoles: Names of consoles (Debian suites, `musl`); `consoles.DEFAULT` when empty.
        module: The folder of the module to build; rosk's own small one when None.
        keep: A folder that receives what was built, a folder for each console; None: it is not kept.
        boot: Load what was built into the release's kernel.
        allow_install: What is missing on this machine may be installed and started.
        as_json: Print the result as one JSON object, and nothing else on standard output.
    """

    consoles: tuple[str, ...] = ()
    module: Path | None = None
    keep: Path | None = None
    boot: bool = False
    allow_install: bool = True
    as_json: bool = False


@dataclass(frozen=True, kw_only=True)
class HeadersTest:
    """What came of it.

    Attributes:
        tried: The consoles that could be made.
        unmade: Those that could not, and why.
    """

    release: ReleaseFolder
    tried: tuple[Tried, ...]
    unmade: Mapping[Console, EngineError]

    @property
    def ok(self) -> bool:
        return not self.unmade and all(each.ok for each in self.tried)


def run_headers_test(dist: Path, options: HeadersOptions) -> HeadersTest:
    """Build a module against the headers of the release in a folder, load it when asked to, and print the result.

    Raises:
        BuildError: It does not build in a console, or not without a warning.
        InputError: There is no such release, console or module, or the release is for another kind of machine.
        EngineError: A console could not be made.
        BootError: A module that was built is refused by the kernel.
    """
    screen = Screen(highlight=False, emoji=False, soft_wrap=True)
    told = Screen(highlight=False, emoji=False, soft_wrap=True, stderr=True)
    note = partial(told.print, markup=False)
    release = find_release(dist)
    check_arch(release)
    consoles = find_consoles(options.consoles, llvm=compiled_by_clang(release))
    check_keep(options.keep)
    with TemporaryDirectory(prefix="rosk-") as folder:
        found = test(release, consoles, options, Path(folder), note=note)
        if options.as_json:
            print(json.dumps(as_json(found), indent=1))
        else:
            for line in text(found):
                screen.print(line)
        if options.keep:
            shutil.copytree(Path(folder, "consoles"), options.keep, dirs_exist_ok=True)
        if not found.ok:
            raise error_of(found)
        if options.boot:
            built = [path for tried in found.tried for path in tried.modules]
            load_external(release, built, allow_install=options.allow_install, note=note)
    return found


def compiled_by_clang(release: ReleaseFolder) -> bool:
    """Whether the kernel's config says so; its modules have to be too (Documentation/kbuild/llvm.rst)."""
    config = release.file("config")
    return config.is_file() and "CONFIG_CC_IS_CLANG=y" in config.read_text(errors="replace").splitlines()


def check_arch(release: ReleaseFolder) -> None:
    """See that this machine runs the release's host programs.

    Raises:
        InputError: It is of another architecture.
    """
    if release.a != host_arch().name:
        raise InputError(
            f"the headers are for {release.a}, and this machine is {host_arch().name}",
            where=release.root,
            hint=f"test them on a machine with {release.a}",
        )


def check_keep(folder: Path | None) -> None:
    """See that a folder can receive what is built.

    Raises:
        InputError: There is something in it.
    """
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("this is no empty folder", where=folder, hint="give --keep a folder that is new or empty")


def test(
    release: ReleaseFolder,
    consoles: Sequence[Console],
    options: HeadersOptions,
    folder: Path,
    *,
    note: Callable[[str], None],
) -> HeadersTest:
    """Build the module in each console; one that cannot be made does not stop the others.

    Args:
        folder: An empty folder to work in; what was built is below its folder `consoles`.
    """
    context = folder / "context"
    write_context(release, options.module or PROBE, context)
    tried: list[Tried] = []
    unmade: dict[Console, EngineError] = {}
    for console in consoles:
        note(f"building in {console.title} (the console is kept for the next time)")
        try:
            engine, base = prepare(console.suite, AUTO, allow_install=options.allow_install, note=note)
            place = folder / "consoles" / console.name
            tried.append(try_console(engine, base, release, console, context=context, folder=place))
        except EngineError as error:
            unmade[console] = error
    return HeadersTest(release=release, tried=tuple(tried), unmade=unmade)


def text(found: HeadersTest) -> Iterator[str]:
    """The report for people, a line each, with rich's markup."""
    release = found.release
    yield f"[bold]Headers of Linux {escape(release.v)} for {release.a}[/], with no kernel source"
    for each in found.tried:
        mark = "ok    " if each.ok else "[bold red]failed[/]"
        yield f"  {mark}  {each.console.title:21} {escape(each.libc):12} {escape(each.compiler)}"
        if each.other_compiler:
            yield f"          (the kernel's compiler is another one: {escape(each.other_compiler)})"
        built = ", ".join(path.name for path in each.modules)
        yield from (f"          {escape(line)}" for line in (each.problems or [f"built without a warning: {built}"]))
    for console, error in found.unmade.items():
        yield f"  [bold yellow]none[/]    {console.title:21} {escape(error.what)}"


def as_json(found: HeadersTest) -> dict[str, Any]:
    """The report for programs."""
    return {
        "release": found.release.v,
        "arch": found.release.a,
        "ok": found.ok,
        "consoles": [
            {
                "name": each.console.name,
                "title": each.console.title,
                "ok": each.ok,
                "compiler": each.compiler,
                "kernel_compiler": each.other_compiler or each.compiler,
                "libc": each.libc,
                "modules": [path.name for path in each.modules],
                "warnings": list(each.warnings),
                "problems": list(each.problems),
                "log": each.log,
            }
            for each in found.tried
        ],
        "unmade": [{"name": console.name, "why": str(error)} for console, error in found.unmade.items()],
    }


def error_of(found: HeadersTest) -> BuildError | EngineError:
    """The error that a test which is not ok ends in."""
    failed = [each for each in found.tried if not each.ok]
    if not failed:
        first = next(iter(found.unmade.values()))
        return EngineError(
            f"{len(found.unmade)} of {len(found.unmade) + len(found.tried)} consoles could not be made",
            hint=first.hint,
            details=[str(error) for error in found.unmade.values()] + list(first.details),
        )
    names = ", ".join(each.console.title for each in failed)
    hint = "the whole log of each is in the JSON report (--json), or with the modules (--keep)"
    if failed[0].other_compiler and any("does not know" in problem for problem in failed[0].problems):
        hint = (
            f"modules are to be built there with the kernel's compiler ({failed[0].other_compiler}), "
            "or the kernel with an older one (toolchain.suite)"
        )
    details = failed[0].log.splitlines()[-_LOG_LINES:]
    return BuildError(f"no module builds cleanly in: {names}", where=found.release.root, hint=hint, details=details)
