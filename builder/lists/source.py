"""Where `rosk lists` learns of a kernel: the last release, and the config as the engine resolves it. No compile.

The release in `dist` tells of each of its modules what it depends on, its soft dependencies, firmware and size. The
engine runs the graph up to its stage `configured` (seconds, where toolchain and source are there) and foresees which
modules this config makes (`builder.stages.foresee`), with the options that build them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from builder.errors import BuildError, InputError
from builder.files import temporary_folder
from builder.lists.model import Kernel
from builder.release import shown_path
from builder.releasefolder import ReleaseFolder, find_release
from builder.stages.common import StageError
from builder.stages.dotconfig import set_options
from builder.stages.modules import Module, ModuleSet, normal, scan
from builder.stages.split import Known
from builder.verify.model import count
from builder.verify.unpack import read_package

_AGAIN = "build the release again, or move its folder away"


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What the engine tells of a configured tree.

    Attributes:
        v: The kernel release.
        built: The modules that its config makes.
        needs: Module → modules that it may depend on.
        known: The options that build modules, and the config.
    """

    v: str
    built: frozenset[str]
    needs: Mapping[str, tuple[str, ...]]
    known: Known


@dataclass(frozen=True, kw_only=True)
class Released:
    """What a release tells: its modules, and its config where it has one."""

    v: str
    modules: ModuleSet
    config: Mapping[str, str]


def read_release(folder: Path, arch: str) -> Released | None:
    """The modules of the release in a folder, of both packages; None where there is none for that architecture.

    Raises:
        InputError: A package cannot be read.
        NoSpaceError: There is no room to unpack it.
    """
    if not any(folder.glob("kernel/linux-*")) and not any(folder.glob("linux-*")):
        return None
    release = find_release(folder)
    if release.a != arch:
        return None
    config = release.file("config")
    with temporary_folder("rosk-lists-") as temp:
        modules = _read_modules(release, temp)
    text = config.read_text(errors="replace") if config.is_file() else ""
    return Released(v=release.v, modules=modules, config=set_options(text))


def _read_modules(release: ReleaseFolder, temp: Path) -> ModuleSet:
    for kind in ("kernel", "extras"):
        if package := release.packages.get(kind):
            contents = read_package(package, temp)
            if contents.damage:
                raise InputError(f"it cannot be read: {contents.damage}", where=package, hint=_AGAIN)
    try:
        return scan(temp / "lib/modules" / release.v)
    except (StageError, ValueError) as error:
        what = str(error).replace(f"{temp}/", "")
        raise InputError(f"its modules cannot be read: {what}", where=release.root, hint=_AGAIN) from error


def read_foreseen(folder: Path) -> Foreseen:
    """What the target `lists` exported.

    Raises:
        BuildError: It is not whole.
    """
    try:
        foreseen = json.loads((folder / "foreseen.json").read_text())
        return Foreseen(
            v=(folder / "kernel.release").read_text().strip(),
            built=frozenset(foreseen["built"]),
            needs={path: tuple(needs) for path, needs in foreseen["needs"].items()},
            known=Known(
                options=json.loads((folder / "module-options.json").read_text()),
                config=set_options((folder / "config").read_text()),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the engine told nothing of the modules: {error}"
        raise BuildError(what, hint="run it again; if it happens again, report it: this is an error in rosk") from error


def join(foreseen: Foreseen | None, released: Released | None, dist: Path) -> Kernel:
    """What the engine and the last release tell together.

    Args:
        dist: Where the release is, for messages.

    Raises:
        InputError: There is neither.
    """
    if foreseen is None:
        if released is None:
            hint = "build it first, or leave out --no-engine: the engine tells without a compile"
            raise InputError("there is no release to learn of the modules from", where=dist, hint=hint)
        source = f"modules and config of the release {released.v} in {shown_path(dist)}"
        return Kernel(
            v=released.v,
            built=released.modules,
            known=Known(options={}, config=released.config),
            sources=(source, "options, and modules of an edited config: not known without the engine"),
        )
    sources = [f"modules and options of {foreseen.v}, from its source and config"]
    old = released.modules if released else _module_set({}, {}, frozenset())
    if released is not None:
        sources.append(f"dependencies, firmware and sizes of the release {released.v} in {shown_path(dist)}")
    modules, unseen = _modules(foreseen, old)
    if unseen:
        number = count(len(unseen), "module")
        sources.append(f"{number} never compiled: what that needs beside it is told by Kconfig only")
    in_image = {
        normal(path): path
        for path, option in foreseen.known.options.items()
        if foreseen.known.config.get(option) == "y" and path not in foreseen.built
    }
    told = {normal(path) for path in foreseen.known.options}
    in_image |= {name: path for name, path in old.builtin.items() if name not in told}
    return Kernel(
        v=foreseen.v,
        built=replace(_module_set(modules, in_image, old.builtin_aliases), builtin_firmware=old.builtin_firmware),
        known=foreseen.known,
        unseen=unseen,
        needs=foreseen.needs,
        sources=tuple(sources),
    )


def _modules(foreseen: Foreseen, old: ModuleSet) -> tuple[dict[str, Module], frozenset[str]]:
    """The modules to come, with what the release says of each; and those of which it says nothing.

    What lies outside kernel/ is no kernel's own, so that the tree does not tell of it: there the release counts.
    """
    modules, unseen = {}, set()
    outside = {path for path in old.modules if not path.startswith("kernel/")}
    for path in sorted(foreseen.built | outside):
        same = [path] if path in old.modules else old.names.get(normal(path), [])
        modules[path] = replace(old.modules[same[0]], path=path) if same else Module(path=path, size=0)
        if not same:
            unseen.add(path)
    return modules, frozenset(unseen)


def _module_set(modules: dict[str, Module], builtin: dict[str, str], aliases: frozenset[str]) -> ModuleSet:
    names: dict[str, list[str]] = {}
    by_alias: dict[str, list[str]] = {}
    for path, module in modules.items():
        names.setdefault(normal(path), []).append(path)
        for alias in module.aliases:
            by_alias.setdefault(alias, []).append(path)
    return ModuleSet(modules=modules, names=names, aliases=by_alias, builtin=builtin, builtin_aliases=aliases)
