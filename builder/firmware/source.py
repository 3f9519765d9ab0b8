"""Where `rosk firmware` learns of what modules ask for and of what the firmware source offers. No compile.

The release in `dist` has what each compiled module says of itself. The engine tells which modules the config makes,
what the source code of those says that were never compiled, and what the firmware source offers: names and licences.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import BuildError, InputError
from builder.firmware.model import EXTRAS, KERNEL, Asking, Known, Offer
from builder.lists.files import read_text
from builder.lists.learn import ListOptions, policy_of
from builder.lists.model import Kernel
from builder.lists.model import read_texts as read_module_lists
from builder.lists.source import Foreseen, join, read_foreseen, read_release
from builder.project import Project
from builder.stages.common import StageError
from builder.stages.firmwarefetch import git_head
from builder.stages.firmwaretree import FirmwareTree, scan
from builder.stages.licence import licences_from
from builder.stages.split import EXTRA_LIST, MAIN_LIST, Lists, place
from builder.verify.model import count


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the engine tells.

    Attributes:
        offer: What the firmware source offers; None for no source.
        asked: Path of a module, also of a built-in one → the firmware that its source code says.
        unclear: The modules of which that could not be told in full.
    """

    foreseen: Foreseen
    offer: Offer | None
    asked: Mapping[str, tuple[str, ...]]
    unclear: tuple[str, ...]


def learn(project: Project, options: ListOptions) -> Known:
    """All there is to know, without a compile.

    Raises:
        RoskError: See `builder.lists.source`; or a firmware folder of this machine cannot be read.
    """
    released = read_release(project.dist, project.arch.name)
    told = ask_engine(project, options) if options.engine else None
    offer = told.offer if told else _offer_here(project)
    no_source = project.settings.firmware.source == "none"
    said = _offer_said(offer, no_source=no_source)
    if told is None and released is None:
        unknown = "modules: none known, with no release in dist and no engine"
        return Known(offer=offer, no_source=no_source, asked=None, sources=(unknown, said))
    kernel = join(told.foreseen if told else None, released, project.dist)
    asked = told.asked if told else {}
    sources = [*kernel.sources, said]
    if told:
        new = [path for path in kernel.unseen if path in asked]
        if new:
            sources.append(f"firmware of {count(len(new), 'module')} never compiled: from their source code")
        if unclear := [path for path in told.unclear if path in kernel.unseen]:
            sources.append(f"not all that their code may ask for could be told: {', '.join(unclear)}")
    return Known(
        offer=offer,
        no_source=no_source,
        asked=_asked(kernel, asked, _lists(project), policy_of(project).softdeps),
        inside=frozenset(kernel.known.config.get("CONFIG_EXTRA_FIRMWARE", "").strip('"').split()),
        release=kernel.v,
        sources=tuple(sources),
    )


def _lists(project: Project) -> Lists:
    """The module lists, which `load_project` has checked."""
    main, extra = (read_text(project.inputs[name]) for name in (MAIN_LIST, EXTRA_LIST))
    return read_module_lists(main, extra).lists


def _asked(
    kernel: Kernel, told: Mapping[str, tuple[str, ...]], lists: Lists, softdeps: str
) -> dict[str, tuple[Asking, ...]]:
    """Firmware → who may ask for it, what is of the kernel package first.

    Args:
        told: What the source code says, of modules that no release has.
    """
    placed = place(kernel.built, lists, softdeps=softdeps)
    found: dict[str, list[Asking]] = {}
    for path, names in _by_module(kernel, told):
        package = KERNEL if path in placed.main else EXTRAS
        for name in names:
            found.setdefault(name, []).append(Asking(path=path, package=package))
    for driver, names in _by_builtin(kernel, told):
        for name in names:
            found.setdefault(name, []).append(Asking(path=driver, package=KERNEL, builtin=True))
    return {name: tuple(sorted(asking, key=lambda each: each.package != KERNEL)) for name, asking in found.items()}


def _by_module(kernel: Kernel, told: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for path, module in kernel.built.modules.items():
        yield path, told.get(path, ()) if path in kernel.unseen else module.firmware


def _by_builtin(kernel: Kernel, told: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is part of the image: as its code says where that was looked at, else as the release says."""
    if kernel.known.options:
        for path, names in told.items():
            if path not in kernel.built.modules and kernel.known.config.get(kernel.known.options.get(path, "")) == "y":
                yield path, names
    else:
        yield from kernel.built.builtin_firmware.items()


def ask_engine(project: Project, options: ListOptions) -> Told:
    """Ask the engine what the config makes, what its code asks for, and what the firmware source offers.

    Raises:
        RoskError: The engine, a source or the config failed; see `builder.question`.
    """
    from builder.question import questioner  # noqa: PLC0415 - with --no-engine nothing of it is needed

    with questioner(project, options.asking, dockerfiles=("lists.Dockerfile", "firmware.Dockerfile")) as asked:
        return read_told(asked.answer("firmware-known"))


def read_told(folder: Path) -> Told:
    """What the target `firmware-known` exported.

    Raises:
        BuildError: It is not whole.
    """
    foreseen = read_foreseen(folder)
    try:
        asked = json.loads((folder / "asked.json").read_text())
        return Told(
            foreseen=foreseen,
            offer=_offer(json.loads((folder / "offered.json").read_text())),
            asked={path: tuple(names) for path, names in asked["asked"].items()},
            unclear=tuple(asked["unclear"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the engine told nothing of the firmware: {error}"
        raise BuildError(what, hint="run it again; if it happens again, report it: this is an error in rosk") from error


def _offer(data: Mapping[str, Any]) -> Offer | None:
    if not data:
        return None
    tree = FirmwareTree(
        files={name: Path(name) for name in data["files"]},
        links=dict(data["links"]),
        firmware=frozenset(data["firmware"]),
        licences=licences_from(data["licences"]),
    )
    return Offer(tree=tree, revision=str(data["revision"]))


def _offer_here(project: Project) -> Offer | None:
    """What a firmware folder of this machine offers; None for other sources, which only the engine opens.

    Raises:
        InputError: It is not there, or has links that lead out of it.
    """
    settings = project.settings.firmware
    if settings.source != "folder" or settings.path is None:
        return None
    path = project.root / settings.path
    if not path.is_dir():
        raise InputError("there is no such folder", where=path, hint="firmware.path names a linux-firmware folder")
    try:
        return Offer(tree=scan(path), revision=git_head(path) or "unknown")
    except StageError as error:
        raise InputError(error.what, where=path, hint=error.hint) from error


def _offer_said(offer: Offer | None, *, no_source: bool) -> str:
    if offer is not None:
        return f"{count(len(offer.tree.files), 'file')} of the firmware source, revision {offer.revision}"
    return (
        "no firmware source: the settings say none"
        if no_source
        else "the firmware source: not known without the engine"
    )
