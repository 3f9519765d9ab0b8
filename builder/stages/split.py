"""Splits the built modules in those of the kernel package and those of the extras package.

The kernel package is decided first and wins: what modules.list names, with all that it depends on, and whatever lies
outside kernel/ and is not named in modules-extra.list by its path. Then the extras: what modules-extra.list names, with
its dependencies. A line that is a path wins over a pattern of the other list. The indexes (modules.dep and the others)
are made by depmod after the split, from the modules that are in the kernel package.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.stages.common import StageError, run, stage_main, warning, write_json
from builder.stages.dotconfig import set_options
from builder.stages.lists import Entry, check_disjoint, parse_list
from builder.stages.modules import ModuleSet, normal, scan

MAIN_LIST, EXTRA_LIST = "lists/modules.list", "lists/modules-extra.list"
INDEX_INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
DEPMOD_ROWS = 50
"""Of more complaints only the first ones are reported: a wrong System.map gives tens of thousands."""


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The two module lists of a project."""

    main: Sequence[Entry]
    extra: Sequence[Entry]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the configured tree says of modules, built or not.

    Attributes:
        options: Path of each module that the tree knows → the option that builds it.
        config: Option → value (`y`, `m`, `"text"`, `12`) of those that are set.
    """

    options: Mapping[str, str]
    config: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where each module goes, by path under lib/modules/<release>.

    Attributes:
        listed: Modules that the list of their package names; the others came along as dependencies, by policy, or lie
            outside kernel/.
    """

    main: set[str]
    extra: set[str]
    listed: set[str]
    warnings: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where the lists put each built module, by path under lib/modules/<release>.

    Attributes:
        named_main, named_extra: What the lines of each list name.
        main, extra: What goes in the kernel and the extras package: that, with all that it depends on.
        rest: What is in neither: no list names it, and nothing listed depends on it.
    """

    named_main: set[str]
    named_extra: set[str]
    main: set[str]
    extra: set[str]
    rest: set[str]


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A line of a list that names nothing that was built.

    Attributes:
        kind: `no-match` (a pattern), `moved`, `built-in`, `off` (its option is) or `unknown`.
        what: One line: that, and why.
        moved_to: With `moved`, the path at which the module was built.
    """

    entry: Entry
    kind: str
    what: str
    moved_to: str | None = None


def read_lists(folder: Path) -> Lists:
    """Read modules.list and modules-extra.list of a folder; see `builder.stages.lists` for what is refused."""
    main = parse_list((folder / "modules.list").read_bytes(), MAIN_LIST)
    extra = parse_list((folder / "modules-extra.list").read_bytes(), EXTRA_LIST)
    check_disjoint(main, extra)
    return Lists(main=main, extra=extra)


def decide(built: ModuleSet, lists: Lists, *, unlisted: str = "error", softdeps: str = "report") -> Split:
    """Decide where each built module goes.

    Args:
        built: The modules that the build made.
        lists: The project's two lists.
        unlisted: What happens to a module that no list names and no listed one depends on: `error` or `extra`.
        softdeps: `report` a soft dependency of the kernel package that would land in the extras, or `pull` it.

    Raises:
        StageError: There are such unlisted modules and `unlisted` is `error`; the details are the lines to add. Or an
            external module has the name of one of the kernel's.
    """
    _refuse_twice(built)
    placed = place(built, lists, softdeps=softdeps)
    if placed.rest and unlisted == "error":
        raise _unlisted(placed.rest, built, lists)
    return Split(
        main=placed.main,
        extra=placed.extra | placed.rest,
        listed=(placed.named_main & placed.main) | (placed.named_extra & placed.extra),
        warnings=list(_softdep_warnings(built, placed.main, lists)),
    )


def _refuse_twice(built: ModuleSet) -> None:
    """See that modprobe can tell an external module from the kernel's own: depmod prefers those in updates/ only."""
    for paths in built.names.values():
        own = [path for path in paths if path.startswith("kernel/")]
        other = [path for path in paths if path.startswith("extra/")]
        if own and other:
            raise StageError(
                f"a kernel module of this name exists: {other[0]} would be loaded, or {own[0]}, as chance has it",
                hint="to replace it, give the external module `install: updates` in the settings; or turn the kernel's "
                "own off in the config",
            )


def place(built: ModuleSet, lists: Lists, *, softdeps: str = "report") -> Placed:
    """Where the lists put each built module; see `decide` for the arguments."""
    named_main, named_extra = _named(built, lists)
    main = built.closure(named_main | outside_kernel(built, lists))
    if softdeps == "pull":
        while missing := list(missing_softdeps(built, main)):
            main |= built.closure(path for _, _, providers in missing for path in providers)
    extra = built.closure(named_extra) - main
    rest = set(built.modules) - main - extra
    return Placed(named_main=named_main, named_extra=named_extra, main=main, extra=extra, rest=rest)


def outside_kernel(built: ModuleSet, lists: Lists) -> set[str]:
    """The modules outside kernel/ (`extra/`, `updates/`) that stay in the kernel package.

    These are all but what a line of modules-extra.list names by its path; a pattern there does not count.
    """
    moved = {entry.path for entry in lists.extra if not entry.is_pattern}
    return {path for path in built.modules if not path.startswith("kernel/")} - moved


def missing_softdeps(built: ModuleSet, main: set[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Soft dependencies of the modules in `main` that neither it nor the kernel image provides, though others do.

    Yields:
        (path of the module in `main`, name it asks for, paths of the modules that provide that name).
    """
    for path in sorted(main):
        for name in built.modules[path].softdeps:
            providers = built.providers(name)
            if providers and not built.is_builtin(name) and main.isdisjoint(providers):
                yield path, name, providers


def not_built(built: ModuleSet, lists: Lists, known: Known) -> list[dict[str, Any]]:
    """A warning for each line of a list that names nothing that was built, with the reason where it is known."""
    return [
        warning("module-not-built", found.what, where=found.entry.where, line=found.entry.line)
        for found in absent(built, lists, known)
    ]


def absent(built: ModuleSet, lists: Lists, known: Known) -> Iterator[Absent]:
    """The lines of the lists that name nothing that was built, and why, as far as that is known."""
    moved = {normal(path): path for path in known.options}
    for entry in (*lists.main, *lists.extra):
        if entry.is_pattern:
            if not _select(entry, built):
                yield Absent(entry=entry, kind="no-match", what=f"{entry.path} matches no built module")
        elif entry.path not in built.modules:
            kind, reason, to = _reason(entry.path, built, known, moved)
            yield Absent(entry=entry, kind=kind, what=f"{entry.path} was not built: {reason}", moved_to=to)


def _reason(path: str, built: ModuleSet, known: Known, moved: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Why there is no module at `path`: see `Absent`."""
    name = normal(path)
    option = known.options.get(path)
    if same := built.names.get(name):
        return "moved", f"moved to {same[0]}", same[0]
    if name in built.builtin:
        where = "" if built.builtin[name] == path else f" as {built.builtin[name]}"
        return "built-in", f"built in{where}" + (f" ({option}=y)" if option else ""), None
    if option is None and name in moved:
        option = known.options[moved[name]]
        return "off", f"moved to {moved[name]}, and {_state(option, known)}", None
    return ("off", _state(option, known), None) if option else ("unknown", "unknown in this kernel", None)


def _state(option: str, known: Known) -> str:
    """How an option is set."""
    return f"{option} is {known.config[option]}" if option in known.config else f"{option} is not set"


def _select(entry: Entry, built: ModuleSet) -> list[str]:
    """The built modules that a line of a list names."""
    if entry.is_pattern:
        return entry.select(built.modules)
    return [entry.path] if entry.path in built.modules else []


def _named(built: ModuleSet, lists: Lists) -> tuple[set[str], set[str]]:
    """What the lines of the two lists name; what one names by its path, a pattern of the other does not."""
    paths, patterns = (
        [
            {path for entry in entries if entry.is_pattern is kind for path in _select(entry, built)}
            for entries in (lists.main, lists.extra)
        ]
        for kind in (False, True)
    )
    return paths[0] | (patterns[0] - paths[1]), paths[1] | (patterns[1] - paths[0])


def _unlisted(rest: Iterable[str], built: ModuleSet, lists: Lists) -> StageError:
    """The error for modules that no list names: each as the line to add, with where it was listed before a move."""
    gone = {normal(entry.path): entry for entry in (*lists.main, *lists.extra) if entry.path not in built.modules}
    details = []
    for path in sorted(rest):
        old = gone.get(normal(path))
        details.append(f"{path}  # {old.place} has it as {old.path}" if old else path)
    count = "1 built module is" if len(details) == 1 else f"{len(details)} built modules are"
    return StageError(
        f"{count} in no list",
        hint="add these lines to modules.list (kernel package) or modules-extra.list (extras package)",
        where=EXTRA_LIST,
        details=details,
    )


def _softdep_warnings(built: ModuleSet, main: set[str], lists: Lists) -> Iterator[dict[str, Any]]:
    """Placed at the line that puts the soft dependency in the extras, when one names it."""
    places = {entry.path: entry.line for entry in lists.extra}
    for path, name, providers in missing_softdeps(built, main):
        line = next((places[provider] for provider in providers if provider in places), None)
        what = f"{path} of the kernel package has the soft dependency {name}, which is in the extras: " + ", ".join(
            providers
        )
        yield warning("softdep-in-extra", what, where=EXTRA_LIST if line else None, line=line)


def describe(built: ModuleSet, split: Split, options: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What modules.json says of each module; `options` has the config option that builds each, where that is known."""
    return {
        path: {
            "package": "main" if path in split.main else "extra",
            "size": module.size,
            "depends": built.depends(path),
            "softdeps": list(module.softdeps),
            "firmware": list(module.firmware),
            "license": module.license,
            "listed": path in split.listed,
            "option": options.get(path),
        }
        for path, module in built.modules.items()
    }


def copy(source: Path, paths: Iterable[str], target: Path) -> None:
    """Copy files at `paths` below `source` to the same paths below `target`, which is made also when there are none."""
    target.mkdir(parents=True, exist_ok=True)
    made = set()
    for path in paths:
        to = target / path
        if to.parent not in made:
            to.parent.mkdir(parents=True, exist_ok=True)
            made.add(to.parent)
        shutil.copy(source / path, to)


def index(base: Path, release: str, system_map: Path) -> list[dict[str, Any]]:
    """Run depmod for `base`/lib/modules/`release`; what it complains of comes back as warnings.

    Unresolved symbols are looked for when System.map names the kernel's exports (`__ksymtab_…`).
    """
    check: list[str | Path] = ["-e", "-F", system_map] if b" __ksymtab_" in system_map.read_bytes() else []
    done = run(["depmod", "-b", base, *check, release])
    drop_empty(base / "lib/modules" / release / "modules.builtin.alias.bin")
    rows = done.stderr.splitlines()
    if len(rows) > DEPMOD_ROWS:
        rows[DEPMOD_ROWS:] = [f"and {len(rows) - DEPMOD_ROWS} more lines of depmod"]
    prefix = f"{base}/lib/modules/{release}/"
    return [warning("depmod", row.removeprefix("depmod: WARNING: ").replace(prefix, "")) for row in rows]


def drop_empty(index: Path) -> None:
    """Take away an index that is no index: the depmod of kmod 28 (Debian 11) makes this one an empty file.

    Without it modprobe goes by the others, as that of every kmod before 27 does.
    """
    if index.is_file() and index.stat().st_size == 0:
        index.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=Path, required=True, help="holds lib/modules/RELEASE")
    parser.add_argument("--lists", type=Path, required=True, help="holds modules.list and modules-extra.list")
    parser.add_argument("--config", type=Path, required=True, help="the .config that was built")
    parser.add_argument("--module-options", type=Path, required=True, help='{"kernel/fs/fat/fat.ko": "CONFIG_FAT_FS"}')
    parser.add_argument("--system-map", type=Path, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--unlisted", choices=["error", "extra"], default="error")
    parser.add_argument("--softdeps", choices=["report", "pull"], default="report")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    lists = read_lists(options.lists)
    folder = Path("lib/modules") / options.release
    source, out = options.modules / folder, options.out
    known = Known(
        options=json.loads(options.module_options.read_text()), config=set_options(options.config.read_text())
    )
    built = scan(source)
    split = decide(built, lists, unlisted=options.unlisted, softdeps=options.softdeps)
    warnings = [*not_built(built, lists, known), *split.warnings]

    copy(source, sorted(split.main), out / "main" / folder)
    copy(source, sorted(split.extra), out / "extra" / folder)
    for name in INDEX_INPUTS:
        if (source / name).exists():
            shutil.copyfile(source / name, out / "main" / folder / name)
    warnings += index(out / "main", options.release, options.system_map)

    (out / "lists").mkdir(exist_ok=True)
    (out / "lists/modules-main.list").write_text("".join(f"{path}\n" for path in sorted(split.main)))
    (out / "lists/modules-extra.list").write_text("".join(f"{path}\n" for path in sorted(split.extra)))
    write_json(out / "modules.json", describe(built, split, known.options))
    write_json(out / "report.json", {"warnings": warnings})


if __name__ == "__main__":
    stage_main(main)
