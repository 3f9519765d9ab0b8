"""The differences of two releases, for programs.

One JSON object. Lists are sorted by name or path, sizes are bytes, and what could not be compared is null.

    schema                1; another number when a key changes its meaning or goes away
    same                  whether nothing differs
    old, new              the releases: name (as given), release, arch, packages (that were looked into),
                          firmware_revision, modversions (whether its kernel checks CRCs)
    notes                 what could not be compared, for people
    config                [name, old, new (`n`: off or absent), group (`options`; `toolchain`: version and toolchain)]
    modules, firmware     added, removed: [path, package, size]; moved: [path, old, new (packages)];
                          renamed: [old, new (paths)]; changed: [path, package, old_size, new_size]
    symbols               added, removed: [name, crc, exporter, export, namespace]; changed: [name, old, new]
    external_modules      rebuild (true, false, or null: it cannot be told), reasons
    signing               changed (whether other keys signed the modules), old, new: null where that is not known, or
                          keys: [id, name, modules (so many it signed)], unsigned
    kernel_image_changed  whether the kernel image is another one
    sizes                 [name, old, new], those that are equal too
    source                [name (a key of the manifest's source), old, new]
    patches, toolchain    added, removed: name to checksum or version; changed: [name, old, new]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from builder.diff.compare import Change, Differences, Files, Sorted
from builder.diff.contents import READ, Contents, Shipped
from builder.diff.signing import Signed, name_of
from builder.diff.symvers import Symbol

SCHEMA = 1


def as_json(found: Differences) -> dict[str, Any]:
    """The object described above."""
    return {
        "schema": SCHEMA,
        "same": found.same,
        "old": _release(found.old),
        "new": _release(found.new),
        "notes": list(found.notes),
        "config": sorted(
            [
                *({**each, "group": "options"} for each in _changes(found.options)),
                *({**each, "group": "toolchain"} for each in _changes(found.toolchain_options)),
            ],
            key=lambda each: str(each["name"]),
        ),
        "modules": _files(found.modules),
        "symbols": None if found.symbols is None else _symbols(found.symbols),
        "external_modules": {"rebuild": found.rebuild.needed, "reasons": list(found.rebuild.reasons)},
        "firmware": _files(found.firmware),
        "signing": {
            "changed": found.keys_changed,
            **dict(zip(("old", "new"), map(_signed, found.signing), strict=True)),
        },
        "kernel_image_changed": found.image_changed,
        "sizes": _changes(found.sizes),
        "source": None if found.source is None else _changes(found.source),
        "patches": _sorted(found.patches),
        "toolchain": _sorted(found.toolchain),
    }


def _release(contents: Contents) -> dict[str, Any]:
    return {
        "name": contents.name,
        "release": contents.v,
        "arch": contents.a,
        "packages": [kind for kind in READ if kind in contents.packages],
        "firmware_revision": contents.revision,
        "modversions": contents.versioned,
    }


def _changes(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [{"name": each.name, "old": each.old, "new": each.new} for each in changes]


def _sorted(found: Sorted | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"added": dict(found.added), "removed": dict(found.removed), "changed": _changes(found.changed)}


def _files(files: Files) -> dict[str, Any]:
    return {
        "added": _listed(files.added),
        "removed": _listed(files.removed),
        "moved": [{"path": each.path, "old": each.old.package, "new": each.new.package} for each in files.moved],
        "renamed": [{"old": each.old_path, "new": each.path} for each in files.renamed],
        "changed": [
            {"path": each.path, "package": each.new.package, "old_size": each.old.size, "new_size": each.new.size}
            for each in files.changed
        ],
    }


def _signed(signed: Signed | None) -> dict[str, Any] | None:
    if signed is None:
        return None
    keys = [{"id": key, "name": name_of(key), "modules": number} for key, number in signed.keys.items()]
    return {"keys": keys, "unsigned": signed.unsigned}


def _listed(files: Mapping[str, Shipped]) -> list[dict[str, Any]]:
    return [{"path": path, "package": file.package, "size": file.size} for path, file in files.items()]


def _symbols(symbols: Sorted) -> dict[str, Any]:
    return {
        "added": [{"name": name, **_symbol(symbol)} for name, symbol in symbols.added.items()],
        "removed": [{"name": name, **_symbol(symbol)} for name, symbol in symbols.removed.items()],
        "changed": [
            {"name": each.name, "old": _symbol(each.old), "new": _symbol(each.new)} for each in symbols.changed
        ],
    }


def _symbol(symbol: Symbol) -> dict[str, Any]:
    return {
        "crc": f"0x{symbol.crc:08x}",
        "exporter": symbol.exporter,
        "export": symbol.export,
        "namespace": symbol.namespace,
    }
