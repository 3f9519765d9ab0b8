"""What a release gives to a boot: its kernel, and an initramfs with its modules, its firmware and rosk's own init."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from builder.boot.initramfs import Initramfs
from builder.boot.qemu import Board
from builder.errors import InputError
from builder.releasefolder import ReleaseFolder
from builder.stages.common import StageError
from builder.stages.dotconfig import config_values
from builder.stages.elf import modinfo
from builder.stages.modules import ModuleSet, normal, scan
from builder.verify.model import MissingProgram, Unreadable
from builder.verify.subject import Subject

Modules = Literal["all", "kernel", "none"]
"""Which modules are loaded one by one: of both packages, of the kernel package, or none but what the checks need."""

_HERE = Path(__file__).resolve().parent
_NO_MODULES = ModuleSet(modules={}, names={}, aliases={}, builtin={}, builtin_aliases=frozenset())


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A release, ready to be booted.

    Attributes:
        kernel, initramfs: The files for qemu.
        order: Module paths, as under lib/modules/V, in the order in which they are loaded.
        depends: Module path to the paths that it cannot be loaded without.
        lacking: Module path to what it needs and does not find, in words, for those that lack something.
        extras: Those of `order` that are of the extras package.
        config: As the kernel package has it: option without `CONFIG_` to its value.
        where: Which package has a module; see `builder.boot.diagnose`.
    """

    kernel: Path
    initramfs: Path
    order: tuple[str, ...]
    depends: Mapping[str, tuple[str, ...]]
    lacking: Mapping[str, str]
    extras: frozenset[str]
    config: Mapping[str, str]
    where: Callable[[str], str]


def make_payload(
    release: ReleaseFolder,
    board: Board,
    guest: Path,
    work: Path,
    *,
    modules: Modules,
    external: Sequence[Path] = (),
) -> Payload:
    """Unpack a release and write its initramfs.

    Args:
        guest: The guest's programs.
        work: A folder to work in, which is made.
        external: Modules that were built elsewhere; each is loaded by itself, after what it depends on.

    Raises:
        InputError: A package cannot be read, or lacks the kernel.
    """
    work.mkdir()
    subject = Subject(release, work)
    trees = {kind: _tree(subject, kind) for kind in ("kernel", "extras") if kind in release.packages}
    folder = f"lib/modules/{release.v}"
    kernel = trees["kernel"] / f"boot/vmlinuz-{release.v}"
    if not kernel.is_file():
        raise InputError(
            f"there is no boot/vmlinuz-{release.v} in it", where=release.packages["kernel"], hint="build it again"
        )
    sets = {kind: _scan(tree / folder) for kind, tree in trees.items()}
    main, extra = sets["kernel"], sets.get("extras", _NO_MODULES)
    depends = {**_depends(extra, main, extra), **_depends(main, main)}
    order = [] if modules == "none" else _order(main.modules, depends)
    extras = frozenset(extra.modules if modules == "all" else ()) - frozenset(order)
    order = _order(extras, depends, order)
    initramfs = work / "initramfs"
    with initramfs.open("wb") as out, Initramfs(out) as archive:
        _own_files(archive, release, board, order)
        _external(archive, external)
        archive.tree(guest)
        for tree in trees.values() if modules == "all" else [trees["kernel"]]:
            archive.tree(tree, without=("boot",))
    return Payload(
        kernel=kernel,
        initramfs=initramfs,
        order=tuple(order),
        depends=depends,
        lacking={**dict(_lacking(extra, main, extra)), **dict(_lacking(main, main, others=extra))},
        extras=extras,
        config=_config(trees["kernel"] / f"boot/config-{release.v}"),
        where=partial(_where, main, extra),
    )


def _own_files(archive: Initramfs, release: ReleaseFolder, board: Board, order: Iterable[str]) -> None:
    archive.file("init", (_HERE / "init.sh").read_bytes(), executable=True)
    for name, major, minor in (("console", 5, 1), ("null", 1, 3), ("kmsg", 1, 11)):
        archive.device(f"dev/{name}", major, minor)
    archive.file("rosk/release", f"{release.v}\n".encode())
    archive.file("rosk/console", f"{board.console}\n".encode())
    archive.file("rosk/modules", "".join(f"{path} {normal(path)}\n" for path in order).encode())
    archive.file("rosk/nat.nft", (_HERE / "nat.nft").read_bytes())


def _external(archive: Initramfs, modules: Sequence[Path]) -> None:
    """Modules from elsewhere, which may have one name, and for each a line: its path, its name, what it depends on."""
    lines = []
    for number, path in enumerate(modules, 1):
        name = f"external/{number}/{path.name}"
        try:
            depends = [each for value in modinfo(path).get("depends", ()) for each in value.split(",") if each]
        except (OSError, StageError) as error:
            raise InputError(f"it is no kernel module: {error}", where=path, hint="build it again") from error
        archive.file(f"rosk/{name}", path.read_bytes())
        lines.append(" ".join([name, normal(path.name), *depends]) + "\n")
    archive.file("rosk/external.list", "".join(lines).encode())


def _tree(subject: Subject, kind: str) -> Path:
    try:
        return subject.tree(kind)
    except MissingProgram as error:
        raise InputError(f"{error} is not installed, which reads it", where=subject.release.packages[kind]) from error
    except Unreadable as error:
        raise InputError(str(error), where=subject.release.packages[kind], hint="build it again") from error


def _scan(folder: Path) -> ModuleSet:
    try:
        return scan(folder) if folder.is_dir() else _NO_MODULES
    except StageError as error:
        raise InputError(error.what, hint=error.hint) from error


def _config(path: Path) -> dict[str, str]:
    try:
        return config_values(path.read_bytes(), path.name)
    except (OSError, StageError):
        return {}  # what is looked up in it is then not said


def _depends(modules: ModuleSet, *found_in: ModuleSet) -> dict[str, tuple[str, ...]]:
    """Each module's hard dependencies, from the packages that it can rely on."""
    names = {name: paths[0] for each in reversed(found_in) for name, paths in each.names.items()}
    return {
        path: tuple(names[name] for name in module.depends if name in names) for path, module in modules.modules.items()
    }


def _lacking(modules: ModuleSet, *found_in: ModuleSet, others: ModuleSet = _NO_MODULES) -> Iterator[tuple[str, str]]:
    """Each module that needs one which is not in the packages that it can rely on, and which that is."""
    for path, module in modules.modules.items():
        for name in module.depends:
            if not any(name in each.names for each in found_in):
                place = "is in the extras package only" if name in others.names else "no package has"
                yield path, f"it needs {name}.ko, which {place}"


def _order(paths: Iterable[str], depends: Mapping[str, tuple[str, ...]], before: Iterable[str] = ()) -> list[str]:
    """All of `before`, then `paths`, each after what it depends on."""
    order = dict.fromkeys(before)
    for path in sorted(paths):
        chain, entered = [path], set[str]()
        while chain:
            needed = [] if chain[-1] in entered else [each for each in depends[chain[-1]] if each not in order]
            entered.add(chain[-1])
            if needed:
                chain += [each for each in needed if each not in entered]
            else:
                order.setdefault(chain.pop())
    return list(order)


def _where(main: ModuleSet, extra: ModuleSet, name: str) -> str:
    if main.is_builtin(name):
        return "built in"
    return "kernel" if normal(name) in main.names else "extras" if normal(name) in extra.names else ""
