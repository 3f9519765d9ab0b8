"""What differs between two releases, and what follows for external modules: a pure function of what they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from builder.diff.contents import READ, Contents, Origin, Shipped
from builder.diff.signing import Signed, differ, refused, signed
from builder.diff.symvers import Symbol
from builder.differ import unequal
from builder.stages.dotconfig import value_of
from builder.stages.modules import normal

LAYOUT = "module_layout"
"""The symbol whose CRC stands for the form of a module itself: with CONFIG_MODVERSIONS every module uses it."""

OF_THE_TOOLCHAIN = re.compile(
    r"LOCALVERSION|BUILD_SALT"
    r"|(?:CC|RUSTC|BINDGEN)_VERSION_TEXT|(?:GCC|CLANG|AS|LD|LLD|PAHOLE|RUSTC|RUSTC_LLVM)_VERSION"
    r"|(?:CC|AS|LD|GCC|CLANG|RUSTC|PAHOLE|TOOLS)_(?:HAS|CAN|IS|SUPPORTS)_\w+|GCC\d+_\w+"
)
"""Options that follow from the version and the toolchain."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A value that is another one.

    Attributes:
        name: The key, of what it is a value of.
        old, new: The two values; None where there is none.
    """

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """What two mappings do not have in common, each sorted by name.

    Attributes:
        added, removed: Those that only the second, or the first one has, with their values.
        changed: Those that both have, with different values.
    """

    added: Mapping[str, Any] = field(default_factory=dict)
    removed: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A file of both releases, whatever of it differs.

    Attributes:
        path, old_path: Where it is in the second release, and was in the first.
        old, new: The file in the first, and in the second release.
    """

    path: str
    old_path: str
    old: Shipped
    new: Shipped


@dataclass(frozen=True, kw_only=True)
class Files:
    """What differs of two sets of files. A file may be in several of the last three.

    Attributes:
        added, removed: Those that only the second, or the first one has.
        moved: Those that are in another package.
        renamed: Modules that have another path and the same name.
        changed: Those that are not what they were.
        total: How many there are in the second release.
    """

    added: Mapping[str, Shipped] = field(default_factory=dict)
    removed: Mapping[str, Shipped] = field(default_factory=dict)
    moved: tuple[Moved, ...] = ()
    renamed: tuple[Moved, ...] = ()
    changed: tuple[Moved, ...] = ()
    total: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved or self.renamed or self.changed)


@dataclass(frozen=True, kw_only=True)
class Rebuild:
    """Whether external modules have to be built again.

    Attributes:
        needed: None when it cannot be told.
        reasons: Why, one line each; for False, why not.
    """

    needed: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What two releases do not have in common.

    Attributes:
        old, new: The releases.
        options: Config options that differ.
        toolchain_options: Those of them that follow from the version and the toolchain.
        modules, firmware: What differs of them.
        symbols: The exported symbols; None where one of the releases has no Module.symvers.
        rebuild: What follows for external modules.
        signing: Who signed the modules of the first and of the second release; None where that is not known.
        sizes: The sizes of both, in bytes, also those that are equal.
        source, patches, toolchain: What the manifests say; None where one of the releases has none.
        notes: What could not be compared, one line each.
    """

    old: Contents
    new: Contents
    options: tuple[Change, ...]
    toolchain_options: tuple[Change, ...]
    modules: Files
    symbols: Sorted | None
    rebuild: Rebuild
    signing: tuple[Signed | None, Signed | None]
    firmware: Files
    sizes: tuple[Change, ...]
    source: tuple[Change, ...] | None
    patches: Sorted | None
    toolchain: Sorted | None
    notes: tuple[str, ...] = ()

    @property
    def image_changed(self) -> bool:
        """Whether the kernel image is another one."""
        return self.old.image != self.new.image

    @property
    def keys_changed(self) -> bool:
        """Whether the modules are signed otherwise."""
        return differ(*self.signing)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        names = (self.old.v, self.old.a, self.old.revision) == (self.new.v, self.new.a, self.new.revision)
        parts = (self.options, self.toolchain_options, self.modules, self.symbols, self.firmware)
        origins = (self.source, self.patches, self.toolchain)
        sizes = (size for size in self.sizes if None not in (size.old, size.new) and size.old != size.new)
        return names and not any((self.image_changed, self.keys_changed, *parts, *origins, *sizes))


def compare(old: Contents, new: Contents) -> Differences:
    """Compare two releases."""
    options = list(_options(old, new))
    symbols = _symbols(old, new)
    modules = _files(old, new, lambda contents: contents.modules, by_name=True)
    origins = (old.origin, new.origin) if old.origin and new.origin else None
    return Differences(
        old=old,
        new=new,
        options=tuple(option for option in options if not OF_THE_TOOLCHAIN.fullmatch(option.name)),
        toolchain_options=tuple(option for option in options if OF_THE_TOOLCHAIN.fullmatch(option.name)),
        modules=modules,
        symbols=symbols,
        rebuild=rebuild(old, new, symbols, modules),
        signing=(signed(old), signed(new)),
        firmware=_files(old, new, lambda contents: contents.firmware),
        sizes=tuple(
            Change(name=name, old=old.sizes.get(name), new=new.sizes.get(name))
            for name in dict.fromkeys([*old.sizes, *new.sizes])
        ),
        source=tuple(_source(*origins)) if origins else None,
        patches=_sorted(*(origin.patches for origin in origins)) if origins else None,
        toolchain=_sorted(*(origin.toolchain for origin in origins)) if origins else None,
        notes=tuple(_notes(old, new)),
    )


def _options(old: Contents, new: Contents) -> Iterator[Change]:
    """The config options that differ, by name; one that is absent is off."""
    for name in sorted({*old.config, *new.config}):
        value, other = value_of(old.config, name), value_of(new.config, name)
        if value != other:
            yield Change(name=name, old=value, new=other)


def _sorted(old: Mapping[str, T], new: Mapping[str, T]) -> Sorted:
    return Sorted(
        added={name: new[name] for name in sorted(new.keys() - old.keys())},
        removed={name: old[name] for name in sorted(old.keys() - new.keys())},
        changed=tuple(
            Change(name=name, old=old[name], new=new[name])
            for name in sorted(old.keys() & new.keys())
            if old[name] != new[name]
        ),
    )


def _symbols(old: Contents, new: Contents) -> Sorted | None:
    if old.symbols is None or new.symbols is None:
        return None
    if old.versioned != new.versioned:  # that one of them has no CRCs is no change of each symbol
        return _sorted(
            *({name: replace(symbol, crc=0) for name, symbol in each.items()} for each in (old.symbols, new.symbols))
        )
    return _sorted(old.symbols, new.symbols)


def _source(old: Origin, new: Origin) -> Iterator[Change]:
    for key, value, other in unequal(old.source, new.source):
        yield Change(name=key, old=value, new=other)


def _files(
    old: Contents, new: Contents, get: Callable[[Contents], Mapping[str, Shipped]], *, by_name: bool = False
) -> Files:
    """Compare the modules or the firmware.

    A file that only one of the releases has does not count when the other lacks the package that it would be in.
    """
    first, second = get(old), get(new)
    added = {path: second[path] for path in sorted(second.keys() - first.keys())}
    removed = {path: first[path] for path in sorted(first.keys() - second.keys())}
    pairs = [(path, path) for path in second if path in first]
    if by_name:
        pairs += list(_renamed(removed, added))
    for before, path in pairs:
        if before != path:
            del removed[before], added[path]
    both = [
        Moved(path=path, old_path=before, old=first[before], new=second[path])
        for before, path in sorted(pairs, key=lambda pair: pair[1])
    ]
    return Files(
        added={path: file for path, file in added.items() if file.package in old.packages},
        removed={path: file for path, file in removed.items() if file.package in new.packages},
        moved=tuple(each for each in both if each.old.package != each.new.package),
        renamed=tuple(each for each in both if each.old_path != each.path),
        changed=tuple(each for each in both if each.old.digest != each.new.digest),
        total=len(second),
    )


def _renamed(removed: Iterable[str], added: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Modules that are gone and new under one name, by their paths; of a name that is there twice, none."""
    before, after = _by_name(removed), _by_name(added)
    for name in sorted(before.keys() & after.keys()):
        if len(before[name]) == len(after[name]) == 1:
            yield before[name][0], after[name][0]


def _by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(normal(path), []).append(path)
    return found


def _notes(old: Contents, new: Contents) -> Iterator[str]:
    for kind in READ:
        for contents, other in ((old, new), (new, old)):
            if kind not in contents.packages and kind in other.packages:
                yield f"{contents.name} has no {kind} package: what only that could hold is not compared"
    for contents, other in ((old, new), (new, old)):
        if contents.origin is None and other.origin is not None:
            yield f"{contents.name} has no manifest: source, patches and toolchain are not compared"


def rebuild(old: Contents, new: Contents, symbols: Sorted | None, modules: Files) -> Rebuild:
    """Whether a module that was built for the first release has to be built again for the second.

    What the kernel refuses: another vermagic, where CRCs are checked without the release that it starts with
    (`same_magic` in kernel/module/version.c); a symbol that is not there, has another CRC, or may not be used; a
    signature by a key that it does not know, where it takes signed modules only.
    """
    versioned = old.versioned and new.versioned
    reasons = list(_vermagic_reasons(old, new, versioned=versioned))
    if symbols is not None:
        reasons += _symbol_reasons(symbols)
    if signatures := refused(signed(old), signed(new), new.config):
        reasons.append(signatures)
    if reasons:
        return Rebuild(needed=True, reasons=tuple(reasons))
    if symbols is None:
        unknown = " and ".join(each.name for each in (old, new) if each.symbols is None)
        return Rebuild(needed=None, reasons=(f"there is no Module.symvers in {unknown}",))
    if versioned:
        again = "" if old.v == new.v else f"; they only have to be installed again, in lib/modules/{new.v}"
        return Rebuild(needed=False, reasons=(f"every symbol that they may use is as it was{again}",))
    if old.image != new.image or not _exporters(old).isdisjoint(each.old_path for each in modules.changed):
        reason = "MODVERSIONS is off and what exports symbols has changed: the kernel would not notice a misfit"
        return Rebuild(needed=True, reasons=(reason,))
    return Rebuild(needed=False, reasons=("what exports symbols is as it was",))


def _vermagic_reasons(old: Contents, new: Contents, *, versioned: bool) -> Iterator[str]:
    if old.a != new.a:
        yield f"they are of another architecture ({old.a} became {new.a})"
    if old.v != new.v and not versioned:
        yield (
            f"MODVERSIONS is off, so the kernel refuses the modules of another release ({old.v} became {new.v}), "
            "whatever their symbols"
        )
    flags, others = (_flags(each.vermagic) for each in (old, new))
    if flags is not None and others is not None and flags != others:
        yield f'the options in vermagic changed: "{flags}" became "{others}"'


def _flags(vermagic: str | None) -> str | None:
    """What of a vermagic follows the release."""
    return None if vermagic is None else vermagic.partition(" ")[2].strip()


def _symbol_reasons(symbols: Sorted) -> Iterator[str]:
    """The symbols that a module may have used and cannot use any more as it is."""
    crc = {change.name for change in symbols.changed if change.old.crc != change.new.crc}
    closed = {change.name for change in symbols.changed if _closed(change.old, change.new)} - crc
    if count := len(crc) + len(closed) + len(symbols.removed):
        kinds = {
            "changed CRC": len(crc),
            "went away": len(symbols.removed),
            "became GPL-only or went into a namespace": len(closed),
        }
        told = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
        yield f"{count} {'symbol' if count == 1 else 'symbols'} that they may use changed: {told}"
    if LAYOUT in crc:
        yield f"one of them, {LAYOUT}, is used by every module"


def _closed(old: Symbol, new: Symbol) -> bool:
    """Whether a module that used a symbol may not use it any more."""
    return (new.gpl and not old.gpl) or (new.namespace != old.namespace and bool(new.namespace))


def _exporters(contents: Contents) -> set[str]:
    """The paths of the modules that export symbols; `vmlinux` does not count."""
    return {f"kernel/{symbol.exporter}.ko" for symbol in (contents.symbols or {}).values()}
