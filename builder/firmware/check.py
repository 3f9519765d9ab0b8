"""What is wrong with the firmware lists for a kernel and a firmware source: a pure function of what is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from builder.firmware.family import newest, relatives
from builder.firmware.model import EXTRAS, KERNEL, LIST_OF, Asking, Known, Texts, is_pattern, matching
from builder.lists.model import Finding
from builder.stages.firmware import absent_warnings, choose
from builder.stages.firmwaretree import FirmwareTree
from builder.stages.licence import Licence
from builder.stages.lists import Entry

KINDS: Mapping[str, str] = {
    "malformed": "a line is no path and no pattern",
    "duplicate": "a list has a line twice",
    "in-both": "both lists have a line",
    "absent": "a line names nothing that the firmware source has",
    "missing": "a module may ask for a file that the source has and no line names",
    "unavailable": "a module may ask for a file that the source lacks too",
    "in-extra": "what a module of the kernel package asks for lands in the extras",
    "newer": "the source has a newer version of a listed file",
    "upstream": "linux-firmware itself has a newer version of a listed file than the source",
    "unasked": "no module that is built names a listed file",
    "licence": "it is not clear that a file may be given on",
}
"""Every kind of finding, and what it means."""

_NEWER_SOURCE = "a later package of Debian brings it, or a release of linux-firmware (firmware.source: tarball)"
_UPSTREAM_HAS_IT = f"linux-firmware itself has it: {_NEWER_SOURCE}"
_CLOSE = 0.8
"""How alike two names are (difflib) from which on one may be a typing error."""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A file or a link that ships.

    Attributes:
        path: As under lib/firmware.
        package: `kernel` or `extras`.
        target: What a link points to; None for a file.
        licence: None where nothing is said of it.
        asked_by: The modules that may ask for it by this name.
    """

    path: str
    package: str
    target: str | None
    licence: Licence | None
    asked_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Firmware that modules may ask for and that ships in no package.

    Attributes:
        name: As the modules name it.
        files: What of it the source has: what to list.
        package: The package that wants it: `kernel` where one of its modules asks for it.
    """

    name: str
    files: tuple[str, ...]
    package: str
    asked_by: tuple[Asking, ...]


@dataclass(frozen=True, kw_only=True)
class Newer:
    """A listed file of which the source has a newer version.

    Attributes:
        asked_by: Who asks for that one, or for a still newer one; none where no module names any.
    """

    entry: Entry
    path: str
    asked_by: tuple[Asking, ...]


def static_findings(texts: Texts) -> list[Finding]:
    """What is wrong with the lists in any kernel: all of it stops a build."""
    return [_at(each.entry, each.kind, each.what, each.hint, error=True) for each in texts.problems]


def check(texts: Texts, known: Known, *, strict: bool = False) -> list[Finding]:
    """All that is wrong with the lists, errors first, else in the order of `KINDS`.

    Args:
        strict: A line that names nothing stops a build (`firmware.strict` of the settings).
    """
    found = [*static_findings(texts), *_absent(texts, known, strict=strict), *_missing(texts, known)]
    found += [*_in_extra(texts, known), *_newer(texts, known), *_upstream(texts, known)]
    found += [*_unasked(texts, known), *_licences(texts, known)]
    order = list(KINDS)
    return sorted(found, key=lambda finding: (not finding.error, order.index(finding.kind)))


def shipped(texts: Texts, known: Known) -> list[Shipped]:
    """What ships by the lists, where the source is known."""
    if known.offer is None:
        return []
    tree, found = known.offer.tree, []
    main, extra = choose(tree, texts.main_lines), choose(tree, texts.extra_lines)
    chosen = dict.fromkeys((*extra.files, *extra.links), EXTRAS) | dict.fromkeys((*main.files, *main.links), KERNEL)
    for path, package in sorted(chosen.items()):
        askers = tuple(sorted({asking.path for asking in known.askers(path)}))
        found.append(
            Shipped(
                path=path,
                package=package,
                target=tree.links.get(path),
                licence=tree.licence(path),
                asked_by=askers,
            )
        )
    return found


def missing(texts: Texts, known: Known) -> list[Missing]:
    """What modules may ask for and no package has."""
    there = _names(texts, known)
    every = {name for names in there.values() for name in names} | known.inside
    found = []
    for name, asking in sorted((known.asked or {}).items()):
        listed = known.offer is None and any(entry.select([name]) for entry in texts.lines)
        if listed or matching(name, every):
            continue
        files: tuple[str, ...] = ()
        if known.offer is not None:
            tree = known.offer.tree
            named = matching(name, [*tree.firmware, *tree.links]) if is_pattern(name) else [name]
            files = tuple(path for path in sorted(named) if tree.find(path)[0])
        package = KERNEL if any(each.package == KERNEL for each in asking) else EXTRAS
        found.append(Missing(name=name, files=files, package=package, asked_by=asking))
    return found


def newer(texts: Texts, known: Known) -> list[Newer]:
    """The listed files of which the source has a newer version, without those that a module names as they are."""
    if known.offer is None:
        return []
    tree = known.offer.tree
    return list(
        _later([entry for entry in texts.lines if tree.find(entry.path)[0]], [*tree.files, *tree.links], texts, known)
    )


def newer_upstream(texts: Texts, known: Known) -> list[Newer]:
    """The listed files of which linux-firmware itself has a newer version that the source has not."""
    if known.upstream is None or known.no_source:
        return []
    there = {*known.offer.tree.files, *known.offer.tree.links} if known.offer else set[str]()
    return [each for each in _later(texts.lines, known.upstream.names, texts, known) if each.path not in there]


def _later(entries: Iterable[Entry], offered: Iterable[str], texts: Texts, known: Known) -> Iterator[Newer]:
    """The lines that an offered file is a newer version of, without those that a module names as they are."""
    listed = {entry.path for entry in texts.lines}
    for entry in entries:
        if entry.is_pattern or known.askers(entry.path):
            continue
        # Where a module names a version, it takes no later one: that is for a later kernel.
        wanted = relatives(entry.path, known.asked or ())[:1]
        path = newest(entry.path, [path for path in offered if not (wanted and newest(wanted[0], [path]))])
        if path is not None and path not in listed:
            asked_by = known.askers(wanted[0]) if wanted else ()
            yield Newer(entry=entry, path=path, asked_by=asked_by)


def _absent(texts: Texts, known: Known, *, strict: bool) -> Iterator[Finding]:
    if known.no_source:
        if texts.lines:
            what = f"nothing of the {len(texts.lines)} lines ships: the settings' firmware source is none"
            yield _at(texts.lines[0], "absent", what, "choose a source: firmware.source in the settings", error=strict)
        return
    if known.offer is None:
        return
    tree = known.offer.tree
    entries = [*choose(tree, texts.main_lines).absent, *choose(tree, texts.extra_lines).absent]
    for entry, told in zip(entries, absent_warnings(tree, entries), strict=True):
        near = near_names(entry.path, tree)
        hint = f"is it {' or '.join(near)}?" if near else "choose a firmware source that has it, or remove the line"
        hint = _UPSTREAM_HAS_IT if known.upstream and entry.path in known.upstream.names else hint
        yield _at(entry, "absent", told["what"], hint, error=strict)


def near_names(name: str, tree: FirmwareTree) -> list[str]:
    """The names of a source that are nearest to one that it lacks: versions, the same file elsewhere, or alike."""
    offered = [*tree.firmware, *tree.links]
    if found := relatives(name, offered):
        return found[:2]
    folder, _, last = name.rpartition("/")
    if same := [path for path in offered if path.rpartition("/")[2] == last]:
        return sorted(same)[:2]
    beside = [path for path in offered if path.rpartition("/")[0] == folder]
    return difflib.get_close_matches(name, beside or offered, n=2, cutoff=_CLOSE)


def _missing(texts: Texts, known: Known) -> Iterator[Finding]:
    if known.no_source:
        return
    # What the kernel package lacks comes first: the extras may never be installed.
    for each in sorted(missing(texts, known), key=lambda each: each.package != KERNEL):
        what = f"{_who(each.asked_by)} may ask for {each.name}, which ships in no package"
        if each.files:
            lines = "this name" if each.files == (each.name,) else ", ".join(each.files)
            hint = f"add {lines} to {LIST_OF[each.package]}, as `rosk firmware fix` does"
        elif known.offer is None:
            hint = f"add it to {LIST_OF[each.package]}; whether the source has it is not known without the engine"
        else:
            near = near_names(each.name, known.offer.tree)
            hint = "the source lacks it" + (f"; it has {' and '.join(near)}" if near else "")
            if known.upstream and matching(each.name, known.upstream.names):
                hint += f"; {_UPSTREAM_HAS_IT}"
        kind = "missing" if each.files or known.offer is None else "unavailable"
        yield Finding(kind=kind, error=False, what=what, hint=hint, path=each.name)


def _in_extra(texts: Texts, known: Known) -> Iterator[Finding]:
    """What a module of the kernel package asks for is only there once the extras are installed."""
    there = _names(texts, known)
    for name in sorted(there[EXTRAS] - there[KERNEL]):
        asking = [each for each in known.askers(name) if each.package == KERNEL]
        if asking:
            entry = next((entry for entry in texts.extra_lines if entry.select([name])), None)
            what = f"{_who(asking)} may ask for {name}, which is in the extras"
            hint = "list it in firmware.list: the extras are installed after the driver is loaded"
            yield _at(entry, "in-extra", what, hint, path=name)


def _newer(texts: Texts, known: Known) -> Iterator[Finding]:
    for each in newer(texts, known):
        what = f"the firmware source has {each.path}, newer than {each.entry.path}"
        hint = _whose(each, known, "`rosk firmware fix --newer` writes it here")
        yield _at(each.entry, "newer", what, hint)


def _upstream(texts: Texts, known: Known) -> Iterator[Finding]:
    for each in newer_upstream(texts, known):
        what = f"linux-firmware has {each.path}, newer than {each.entry.path}, and the firmware source has not"
        yield _at(each.entry, "upstream", what, _whose(each, known, _NEWER_SOURCE))


def _whose(each: Newer, known: Known, then: str) -> str:
    """Whether a driver takes a newer file, and what to do then."""
    if each.asked_by:
        return f"{_who(each.asked_by)} takes the newer one: {then}"
    if known.asked is None:
        return "whether the kernel's driver takes it is not known: nothing is known of its modules"
    return "no module that is built names either of them: see which version its driver takes"


def _unasked(texts: Texts, known: Known) -> Iterator[Finding]:
    """Listed files, not patterns, that no module names, as long as they are no other version of what one names."""
    if known.asked is None:
        return
    tree = known.offer.tree if known.offer else None
    wanted = _files_asked_for(tree, known.asked) if tree else set()
    for entry in texts.lines:
        files = tree.find(entry.path)[0] if tree else {entry.path}
        if entry.is_pattern or not files or files & wanted:
            continue
        if known.askers(entry.path) or relatives(entry.path, known.asked):
            continue
        hint = "remove it, unless a driver makes up its name, or it is for another kernel that shares the list"
        yield _at(entry, "unasked", f"no module that is built names {entry.path}", hint)


def _files_asked_for(tree: FirmwareTree, asked: Iterable[str]) -> set[str]:
    """The files of a source that names of modules lead to."""
    offered = [*tree.files, *tree.links]
    names = {other for name in asked for other in (matching(name, offered) if is_pattern(name) else [name])}
    return {file for name in names for file in tree.find(name)[0]}


def _licences(texts: Texts, known: Known) -> Iterator[Finding]:
    files = [each for each in shipped(texts, known) if each.target is None]
    if files and known.offer is not None and not known.offer.tree.licences:
        what = f"nothing tells the licences of the {len(files)} files that ship: the firmware source has no WHENCE"
        yield Finding(kind="licence", error=False, what=what, hint="see that you may give them on", path="")
        return
    for each in files:
        problem = "no licence is named" if each.licence is None else each.licence.problem
        if problem:
            entry = next((entry for entry in texts.lines if entry.select([each.path])), None)
            said = f" ({each.licence.section})" if each.licence and each.licence.section else ""
            hint = "see that you may give it on, or remove its line"
            yield _at(entry, "licence", f"{each.path}: {problem}{said}", hint, path=each.path)


def _names(texts: Texts, known: Known) -> dict[str, set[str]]:
    """The names at which the firmware loader finds something, by package."""
    if known.offer is None:
        return {
            package: {entry.path for entry in lines if not entry.is_pattern}
            for package, lines in ((KERNEL, texts.main_lines), (EXTRAS, texts.extra_lines))
        }
    tree = known.offer.tree
    main, extra = choose(tree, texts.main_lines), choose(tree, texts.extra_lines)
    every = tree.names_of(main.files | extra.files, main.links | extra.links)
    first = tree.names_of(main.files, main.links)
    return {KERNEL: first, EXTRAS: every - first}


def _who(asking: Iterable[Asking]) -> str:
    first, *others = list(asking)
    return f"{first} and {len(others)} more" if others else str(first)


def _at(
    entry: Entry | None, kind: str, what: str, hint: str = "", *, error: bool = False, path: str | None = None
) -> Finding:
    """A finding, placed at the line that it is about."""
    finding = Finding(kind=kind, error=error, what=what, hint=hint, path=path or (entry.path if entry else ""))
    return replace(finding, where=entry.where, line=entry.line) if entry else finding
