"""What is wrong with the lists for a kernel: a pure function of what is known of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from builder.lists.boot import boot_reason
from builder.lists.model import CORE, EXTRA, LEFT, LIST_OF, Finding, Kernel, Policy, Texts, listable
from builder.stages.lists import Entry
from builder.stages.split import Absent, Lists, Placed, absent, missing_softdeps, place

KINDS: Mapping[str, str] = {
    "malformed": "a line is no path and no pattern",
    "duplicate": "a list has a line twice",
    "in-both": "both lists have a line",
    "unlisted": "a module that is built, that no list names, and that nothing listed depends on",
    "maybe-unlisted": "the same, but a listed module may depend on it; its first compile tells",
    "moved": "a listed module is elsewhere in this kernel",
    "built-in": "a listed module is part of the kernel image",
    "off": "the option of a listed module is not set",
    "unknown": "this kernel has no such module",
    "no-match": "a pattern matches no module",
    "external": "a line for an external module, which its first build makes known",
    "softdep-in-extra": "a module of the kernel package has a soft dependency in the extras",
    "boot-in-extra": "a module that a machine may need to boot is in the extras",
}
"""Every kind of finding, and what it means."""

_CLOSE = 0.85
"""How alike two file names are (difflib) from which on one may be a typing error."""


@dataclass(frozen=True, kw_only=True)
class Unlisted:
    """A module that is built and that no list names.

    Attributes:
        maybe: The listed modules that may depend on it, where that is not known yet.
        moved: The line that has it under its former path.
        to, why: Where `rosk lists fix` puts it (`core`, `extra` or `error`), and by which rule.
    """

    path: str
    maybe: tuple[str, ...]
    moved: Entry | None
    to: str
    why: str


def static_findings(texts: Texts) -> list[Finding]:
    """What is wrong with the lists in any kernel: all of it stops a build."""
    return [
        Finding(
            kind=problem.kind,
            error=True,
            what=problem.what,
            hint=problem.hint,
            path=problem.entry.path,
            where=problem.entry.where,
            line=problem.entry.line,
        )
        for problem in texts.problems
    ]


def check(texts: Texts, kernel: Kernel, policy: Policy) -> list[Finding]:
    """All that is wrong with the lists for a kernel, errors first, else in the order of the lists."""
    lists = texts.lists
    placed = place(kernel.built, lists, softdeps=policy.softdeps)
    new = {item.path: item for item in unlisted(lists, kernel, policy, placed)}
    # What no list names goes nowhere while it stops the build.
    extras = placed.extra | (placed.rest if policy.unlisted == "extra" else set())
    known: dict[str, list[str]] = {}
    for path in sorted({*kernel.built.modules, *kernel.known.options}):
        folder, _, name = path.rpartition("/")
        known.setdefault(folder, []).append(name)
    lines = list(absent(kernel.built, lists, kernel.known))
    to_come = {line.entry: names for line in lines if (names := _to_come(line, kernel, policy))}
    found = [
        *static_findings(texts),
        *(_unlisted(item, kernel, policy) for item in new.values() if item.moved is None),
        *(_external(entry, names) for entry, names in to_come.items()),
        *(_absent(line, new, known, policy) for line in lines if line.entry not in to_come),
        *_softdeps(kernel, placed.main, extras, lists),
        *_boot(extras, lists),
    ]
    return sorted(found, key=lambda finding: not finding.error)


def unlisted(lists: Lists, kernel: Kernel, policy: Policy, placed: Placed) -> list[Unlisted]:
    """The modules that no list names and that, as far as is known, nothing listed depends on."""
    moved: dict[str, Entry] = {}
    for line in absent(kernel.built, lists, kernel.known):
        if line.moved_to is not None:
            moved.setdefault(line.moved_to, line.entry)
    maybe = may_bring(kernel, placed)
    found = []
    for path in sorted(placed.rest):
        entry = moved.get(path)
        to, why = policy.destination(path)
        if entry is not None and listable(path):
            to = next(key for key, name in LIST_OF.items() if name == entry.where)
            why = f"{entry.place} has it as {entry.path}"
        found.append(Unlisted(path=path, maybe=tuple(maybe.get(path, ())), moved=entry, to=to, why=why))
    core = kernel.built.closure(item.path for item in found if item.to == CORE)
    return [
        replace(item, to=CORE, why="a module that goes there depends on it")
        if item.to == EXTRA and item.path in core and item.moved is None
        else item
        for item in found
    ]


def may_bring(kernel: Kernel, placed: Placed) -> dict[str, list[str]]:
    """Module → the modules in their places that may depend on it, which only their first compile tells."""
    found: dict[str, list[str]] = {}
    for path in sorted((placed.main | placed.extra) & kernel.unseen):
        for needed in kernel.needs.get(path, ()):
            found.setdefault(needed, []).append(path)
    return found


def maybe_comes(by: Sequence[str]) -> str:
    """That a module may come along with some of `may_bring`, in words."""
    more = f" and {len(by) - 1} more" if len(by) > 1 else ""
    return f"it may come along with {by[0]}{more}, which was never compiled"


def _unlisted(item: Unlisted, kernel: Kernel, policy: Policy) -> Finding:
    option = kernel.option(item.path)
    name = f"{item.path} ({option})" if option else item.path
    fixed = (
        "`rosk lists fix` leaves it to you" if item.to == LEFT else f"`rosk lists fix` adds it to {LIST_OF[item.to]}"
    )
    hint = f"{fixed} ({item.why})"
    if item.maybe:
        what = f"{name} is in no list; {maybe_comes(item.maybe)}"
        hint = "the first compile tells; until then `rosk lists fix` leaves it out"
        return Finding(kind="maybe-unlisted", error=False, what=what, hint=hint, path=item.path)
    stops = policy.unlisted == "error"
    what = f"{name} is in no list" + ("" if stops else ", and goes to the extras")
    return Finding(kind="unlisted", error=stops, what=what, hint=hint, path=item.path)


def _to_come(line: Absent, kernel: Kernel, policy: Policy) -> Sequence[str]:
    """The external modules that a line may be for which names nothing yet: no source or config tells their files."""
    path = PurePosixPath(line.entry.path)
    names = policy.external.get(path.parts[0], ()) if line.kind in ("unknown", "no-match") else ()
    own = [name for name in names if name.replace("-", "_") == path.stem.replace("-", "_")]
    released = any(built.startswith(f"{path.parts[0]}/") for built in kernel.built.modules)
    return own or ([] if released else names)


def _external(entry: Entry, names: Sequence[str]) -> Finding:
    what = f"{entry.path} is not known before the first build"
    hint = f"external modules are built to its folder: {', '.join(names)}"
    where, line = entry.where, entry.line
    return Finding(
        kind="external", error=False, note=True, what=what, hint=hint, path=entry.path, where=where, line=line
    )


def _absent(line: Absent, new: Mapping[str, Unlisted], known: Mapping[str, Sequence[str]], policy: Policy) -> Finding:
    """A line that names nothing; one of a module that moved is an error when no line names its new path.

    Args:
        known: Folder → the files of the modules in it that this kernel knows.
    """
    entry, hint, error = line.entry, "", False
    what = line.what
    if line.kind == "moved" and line.moved_to is not None:
        item = new.get(line.moved_to)
        if item is not None and item.moved == entry:
            hint = "`rosk lists fix` adds the new path below, or with --replace-moved writes it here"
            what += ", which is in no list"
            error = policy.unlisted == "error" and not item.maybe
        else:
            hint = "the new path is listed, or comes along: this line is for other kernels, or can go"
    if line.kind == "unknown":
        folder, _, name = entry.path.rpartition("/")
        close = difflib.get_close_matches(name, known.get(folder, ()), n=1, cutoff=_CLOSE)
        hint = (
            f"is it {folder}/{close[0]}?" if close else "it is gone, of another kernel, or of an option that is not set"
        )
    return Finding(
        kind=line.kind, error=error, what=what, hint=hint, path=entry.path, where=entry.where, line=entry.line
    )


def _softdeps(kernel: Kernel, main: set[str], extras: set[str], lists: Lists) -> Iterator[Finding]:
    """Soft dependencies of the kernel package that are in the extras, at the line that puts them there."""
    lines = _lines(lists.extra)
    for path, name, providers in missing_softdeps(kernel.built, main):
        found = [provider for provider in providers if provider in extras]
        if found:
            entry = next((lines[provider] for provider in found if provider in lines), None)
            where = ", ".join(found)
            what = f"{path} of the kernel package has the soft dependency {name}, which lands in the extras: {where}"
            hint = f"list it in modules.list, or set lists.softdeps to pull ({path} also works without it)"
            yield _at(entry, Finding(kind="softdep-in-extra", error=False, what=what, hint=hint, path=found[0]))


def _boot(extras: set[str], lists: Lists) -> Iterator[Finding]:
    lines = _lines(lists.extra)
    for path in sorted(extras):
        if reason := boot_reason(path):
            what = f"{path} lands in the extras, and a machine may need it to boot: {reason}"
            hint = "list it in modules.list, unless no machine of yours boots through it"
            yield _at(lines.get(path), Finding(kind="boot-in-extra", error=False, what=what, hint=hint, path=path))


def _at(entry: Entry | None, finding: Finding) -> Finding:
    """The finding, placed at a line."""
    return replace(finding, where=entry.where, line=entry.line) if entry else finding


def _lines(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries}
