"""What modules would like to have beside them: soft dependencies and firmware.

A module works without them, if less well, so that their absence is told and fails nothing; unless it is the split that
lost one.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from pathlib import Path

from builder.stages.modules import ModuleSet, normal
from builder.stages.split import missing_softdeps
from builder.verify.model import Finding, check, verdict
from builder.verify.shipped import config
from builder.verify.subject import Subject

_SHOWN = 3
# drivers/base/firmware_loader/main.c, with CONFIG_FW_LOADER_COMPRESS.
_COMPRESSED = ("", ".zst", ".xz")


@check("soft-dependencies", meaning="a module of the kernel package runs without a helper that the build had made")
def soft_dependencies(subject: Subject) -> Finding:
    """Soft dependencies of the kernel package are told apart: with it, in the extras, lost, or never built."""
    subject.tree("extras")  # without it nothing can be said of what is in no package
    built = _together(subject)
    main = set(subject.modules["kernel"].modules)
    in_extras = [f"{normal(path)} → {name}" for path, name, _ in missing_softdeps(built, main)]
    absent = sorted(
        {
            (path, name)
            for path in main
            for name in built.modules[path].softdeps
            if not built.providers(name) and not built.is_builtin(name)
        }
    )
    made = _made(subject)
    wrong = [
        f"{path} has the soft dependency {name}, which was built and is in no package"
        for path, name in absent
        if normal(name) in made
    ]
    never = [f"{normal(path)} → {name}" for path, name in absent if normal(name) not in made]
    count = sum(len(built.modules[path].softdeps) for path in main)
    return verdict(
        f"{count} soft dependencies of the kernel package; in the extras {_some(in_extras)}, not built {_some(never)}",
        wrong,
    )


@check("module-firmware", meaning="a device does not come up: its driver asks for a file that is not there")
def firmware(subject: Subject) -> Finding:
    """What the modules of each package may ask the firmware loader for, and neither package nor the image has."""
    words = []
    there = {name for kind in ("kernel", "extras") for name in _shipped_firmware(subject.tree(kind))}
    there.update(config(subject).get("EXTRA_FIRMWARE", "").strip('"').split())
    for kind, package in (("kernel", "the kernel package"), ("extras", "the extras package")):
        asked = sorted({name for module in subject.modules[kind].modules.values() for name in module.firmware})
        missing = [name for name in asked if not _is_there(name, there)]
        words.append(f"of {len(asked)} files that {package}'s modules may load, {_some(missing)} are in no package")
    return verdict("; ".join(words))


def _together(subject: Subject) -> ModuleSet:
    """The modules of both packages as one set; what is built in is told by the kernel package."""
    kernel, extras = subject.modules["kernel"], subject.modules["extras"]
    return ModuleSet(
        modules={**kernel.modules, **extras.modules},
        names={
            name: [*kernel.names.get(name, ()), *extras.names.get(name, ())] for name in {*kernel.names, *extras.names}
        },
        aliases={
            name: [*kernel.aliases.get(name, ()), *extras.aliases.get(name, ())]
            for name in {*kernel.aliases, *extras.aliases}
        },
        builtin=kernel.builtin,
        builtin_aliases=kernel.builtin_aliases,
    )


def _made(subject: Subject) -> set[str]:
    """The names of all modules that the build made, by modules.order."""
    order = subject.modules_folder("kernel") / "modules.order"
    return {normal(path) for path in order.read_text(errors="replace").split()} if order.is_file() else set()


def _shipped_firmware(tree: Path) -> Iterator[str]:
    """The files below lib/firmware, as drivers name them."""
    root = tree / "lib/firmware"
    for path in root.rglob("*"):
        if not path.is_dir():
            name = path.relative_to(root).as_posix()
            yield from (name.removesuffix(suffix) for suffix in _COMPRESSED if name.endswith(suffix))


def _is_there(name: str, there: set[str]) -> bool:
    """Whether a file ships; a few modules name a pattern (`brcm/brcmfmac*-sdio.*.bin`)."""
    return name in there or ("*" in name and bool(fnmatch.filter(there, name)))


def _some(names: Iterable[str]) -> str:
    """How many there are, and the first of them."""
    listed = list(names)
    if not listed:
        return "0"
    more = ", …" if len(listed) > _SHOWN else ""
    return f"{len(listed)} ({', '.join(listed[:_SHOWN])}{more})"
