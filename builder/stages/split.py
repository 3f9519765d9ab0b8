"""Splits the built modules in those of the kernel package and those of the extras package.

The kernel package is decided first and wins: what modules.list names, with all that it depends on, and whatever lies
outside kernel/. Then the extras: what modules-extra.list names, with its dependencies. The indexes (modules.dep and
the others) are made by depmod after the split, from the modules that are in the kernel package.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.stages.common import StageError, run, stage_main, warning, write_json
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
        StageError: There are such unlisted modules and `unlisted` is `error`; the details are the lines to add.
    """
    outside = {path for path in built.modules if not path.startswith("kernel/")}
    named_main, named_extra = _select_all(lists.main, built), _select_all(lists.extra, built)
    main = built.closure(named_main | outside)
    if softdeps == "pull":
        while missing := list(missing_softdeps(built, main)):
            main |= built.closure(path for _, _, providers in missing for path in providers)
    extra = built.closure(named_extra) - main
    rest = set(built.modules) - main - extra
    if rest and unlisted == "error":
        raise _unlisted(rest, built, lists)
    return Split(
        main=main,
        extra=extra | rest,
        listed=(named_main & main) | (named_extra & extra),
        warnings=[*_softdep_warnings(built, main, lists), *_outside_warnings(outside, lists)],
    )


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
    moved = {normal(path): path for path in known.options}
    warnings = []
    for entry in (*lists.main, *lists.extra):
        if entry.is_pattern:
            if _select(entry, built):
                continue
            what = f"{entry.path} matches no built module"
        elif entry.path in built.modules:
            continue
        else:
            what = f"{entry.path} was not built: {_reason(entry.path, built, known, moved)}"
        warnings.append(warning("module-not-built", what, where=entry.where, line=entry.line))
    return warnings


def _reason(path: str, built: ModuleSet, known: Known, moved: Mapping[str, str]) -> str:
    """Why there is no module at `path`."""
    name = normal(path)
    option = known.options.get(path)
    if same := built.names.get(name):
        return f"moved to {same[0]}"
    if name in built.builtin:
        where = "" if built.builtin[name] == path else f" as {built.builtin[name]}"
        return f"built in{where}" + (f" ({option}=y)" if option else "")
    if option is None and name in moved:
        option = known.options[moved[name]]
        return f"moved to {moved[name]}, and {_state(option, known)}"
    return _state(option, known) if option else "unknown in this kernel"


def _state(option: str, known: Known) -> str:
    """How an option is set."""
    return f"{option} is {known.config[option]}" if option in known.config else f"{option} is not set"


def _select(entry: Entry, built: ModuleSet) -> list[str]:
    """The built modules that a line of a list names."""
    if entry.is_pattern:
        return entry.select(built.modules)
    return [entry.path] if entry.path in built.modules else []


def _select_all(entries: Sequence[Entry], built: ModuleSet) -> set[str]:
    return {path for entry in entries for path in _select(entry, built)}


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


def _outside_warnings(outside: set[str], lists: Lists) -> Iterator[dict[str, Any]]:
    for entry in lists.extra:
        if entry.path in outside:
            what = f"{entry.path} is outside kernel/ and stays in the kernel package"
            yield warning("module-outside-kernel", what, where=entry.where, line=entry.line)


def describe(built: ModuleSet, split: Split) -> dict[str, dict[str, Any]]:
    """What modules.json says of each module."""
    return {
        path: {
            "package": "main" if path in split.main else "extra",
            "size": module.size,
            "depends": built.depends(path),
            "softdeps": list(module.softdeps),
            "firmware": list(module.firmware),
            "license": module.license,
            "listed": path in split.listed,
        }
        for path, module in built.modules.items()
    }


def move(source: Path, paths: Iterable[str], target: Path) -> None:
    """Move files at `paths` below `source` to the same paths below `target`, which is made also when there are none."""
    target.mkdir(parents=True, exist_ok=True)
    made = set()
    for path in paths:
        to = target / path
        if to.parent not in made:
            to.parent.mkdir(parents=True, exist_ok=True)
            made.add(to.parent)
        shutil.move(source / path, to)


def index(base: Path, release: str, system_map: Path) -> list[dict[str, Any]]:
    """Run depmod for `base`/lib/modules/`release`; what it complains of comes back as warnings.

    Unresolved symbols are looked for when System.map names the kernel's exports (`__ksymtab_…`).
    """
    check: list[str | Path] = ["-e", "-F", system_map] if b" __ksymtab_" in system_map.read_bytes() else []
    done = run(["depmod", "-b", base, *check, release])
    rows = done.stderr.splitlines()
    if len(rows) > DEPMOD_ROWS:
        rows[DEPMOD_ROWS:] = [f"and {len(rows) - DEPMOD_ROWS} more lines of depmod"]
    prefix = f"{base}/lib/modules/{release}/"
    return [warning("depmod", row.removeprefix("depmod: WARNING: ").replace(prefix, "")) for row in rows]


def parse_config(text: str) -> dict[str, str]:
    """The options that a .config sets, with their values."""
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=Path, required=True, help="holds lib/modules/RELEASE; its modules are moved")
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
        options=json.loads(options.module_options.read_text()), config=parse_config(options.config.read_text())
    )
    built = scan(source)
    split = decide(built, lists, unlisted=options.unlisted, softdeps=options.softdeps)
    warnings = [*not_built(built, lists, known), *split.warnings]

    move(source, sorted(split.main), out / "main" / folder)
    move(source, sorted(split.extra), out / "extra" / folder)
    for name in INDEX_INPUTS:
        if (source / name).exists():
            shutil.copyfile(source / name, out / "main" / folder / name)
    warnings += index(out / "main", options.release, options.system_map)

    (out / "lists").mkdir(exist_ok=True)
    (out / "lists/modules-main.list").write_text("".join(f"{path}\n" for path in sorted(split.main)))
    (out / "lists/modules-extra.list").write_text("".join(f"{path}\n" for path in sorted(split.extra)))
    write_json(out / "modules.json", describe(built, split))
    write_json(out / "report.json", {"warnings": warnings})


if __name__ == "__main__":
    stage_main(main)
