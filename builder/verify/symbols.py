"""Whether each module finds the symbols that it needs, from the symbol tables themselves.

No index is believed: what a module needs is what its symbol table leaves undefined, what there is to find is what the
kernel's System.map and the other modules' symbol tables export. The kernel package has to do without the extras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from builder.stages.common import StageError
from builder.stages.modules import normal
from builder.verify.elfsymbols import ModuleSymbols, read_symbols
from builder.verify.model import Finding, Unreadable, check, skipped, verdict
from builder.verify.shipped import (
    KERNEL_IMAGE,
    config,
    is_on,
    symvers,
    system_map_exports,
)
from builder.verify.subject import Subject

# include/linux/license.h, license_is_gpl_compatible().
GPL_COMPATIBLE = frozenset(
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)
_KIND_WORDS = {"kernel": "the kernel package", "extras": "the extras"}


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """The symbols of a release.

    Attributes:
        modules: The kind of package, then the module's path, to its symbols.
        image: What the kernel image exports.
    """

    modules: Mapping[str, Mapping[str, ModuleSymbols]]
    image: frozenset[str]

    def all(self) -> Iterator[tuple[str, ModuleSymbols]]:
        """The modules of both packages, with their paths."""
        for found in self.modules.values():
            yield from found.items()

    def exporters(self, *kinds: str) -> dict[str, list[str]]:
        """Symbol to the paths of the modules in these packages that export it."""
        found: dict[str, list[str]] = {}
        for kind in kinds:
            for path, module in self.modules[kind].items():
                for symbol in module.exports:
                    paths = found.setdefault(symbol, [])
                    if path not in paths:  # a module of both packages is for another check to say
                        paths.append(path)
        return found


@lru_cache(maxsize=1)  # the checks below look at one release one after the other
def symbols_of(subject: Subject) -> Symbols:
    """Read the symbols of all modules of a release.

    Raises:
        Unreadable: A package or System.map is missing, or a module is damaged.
    """
    modules = {}
    for kind in ("kernel", "extras"):
        folder = subject.modules_folder(kind)
        modules[kind] = {path: _read(folder / path) for path in subject.modules[kind].modules}
    # System.map names no exports where the kernel has been trimmed of them; then the headers package tells.
    image = system_map_exports(subject) or frozenset(
        symbol for symbol, export in symvers(subject).items() if export.owner == KERNEL_IMAGE
    )
    return Symbols(modules=modules, image=image)


def _read(path: Path) -> ModuleSymbols:
    try:
        return read_symbols(path)
    except StageError as error:
        raise Unreadable(error.what.replace(str(path), path.name)) from None


@check(
    "symbols-resolve",
    meaning="a module that needs a symbol which nothing installed exports cannot be loaded",
    of="packages",
)
def symbols_resolve(subject: Subject) -> Finding:
    """Needed symbols are exported by the image or the kernel package; for an extra module, also by the extras."""
    found = symbols_of(subject)
    everywhere = found.exporters("kernel", "extras")
    wrong = [
        f"{symbol} is exported by {', '.join([*paths, *([KERNEL_IMAGE] if symbol in found.image else [])])}"
        for symbol, paths in sorted(everywhere.items())
        if len(paths) + (symbol in found.image) > 1
    ]
    uses = of_modules = 0
    for kind, kinds in (("kernel", ("kernel",)), ("extras", ("kernel", "extras"))):
        exporters = found.exporters(*kinds)
        for path, module in sorted(found.modules[kind].items()):
            from_modules = module.needs - found.image
            uses, of_modules = uses + len(module.needs), of_modules + len(from_modules)
            for symbol in sorted(from_modules - exporters.keys()):
                other = everywhere.get(symbol)
                where = f"only {other[0]} of {_KIND_WORDS['extras']} exports" if other else "nothing exports"
                wrong.append(f"{path} of {_KIND_WORDS[kind]} needs {symbol}, which {where}")
    count = sum(len(modules) for modules in found.modules.values())
    return verdict(
        f"{count} modules need {uses} symbols: {uses - of_modules} of the kernel image, {of_modules} of modules", wrong
    )


@check("module-depends", meaning="modprobe loads a module without those whose symbols it needs", of="packages")
def module_depends(subject: Subject) -> Finding:
    """The `depends` of each module's modinfo names the modules whose symbols it uses, and no others."""
    found = symbols_of(subject)
    exporters = found.exporters("kernel", "extras")
    wrong, count = [], 0
    for path, module in found.all():
        used = (module.needs | module.weak) - found.image
        needed = {normal(owner) for symbol in used for owner in exporters.get(symbol, ())}
        said = {normal(name) for value in module.modinfo.get("depends", ()) for name in value.split(",") if name}
        count += len(said)
        wrong += [f"{path} uses symbols of {name}, which its depends does not name" for name in sorted(needed - said)]
        wrong += [f"{path} names {name} in its depends, and uses no symbol of it" for name in sorted(said - needed)]
    return verdict(f"{count} dependencies of modules on modules, by their symbols", wrong)


@check(
    "module-symvers",
    meaning="external modules are built against symbols that the kernel does not have",
    of="packages",
)
def module_symvers(subject: Subject) -> Finding:
    """Module.symvers of the headers names what the image and the modules of both packages export, and no more."""
    found = symbols_of(subject)
    listed = symvers(subject)
    # What external modules export was not there when the headers were made.
    owners = {
        symbol: normal(paths[0])
        for symbol, paths in found.exporters("kernel", "extras").items()
        if symbol in listed or any(path.startswith("kernel/") for path in paths)
    }
    image = system_map_exports(subject)
    owners |= dict.fromkeys(image, KERNEL_IMAGE)
    wrong = []
    for symbol in sorted(owners.keys() | listed.keys()):
        owner, entry = owners.get(symbol), listed.get(symbol)
        if entry is None:
            wrong.append(f"{symbol} of {owner} is not in Module.symvers")
        elif owner != entry.owner and (image or entry.owner != KERNEL_IMAGE):
            seen = f"{owner} exports it" if owner else "nothing exports it"
            wrong.append(f"Module.symvers has {symbol} of {entry.owner}, but {seen}")
    modules = {entry.owner for entry in listed.values()} - {KERNEL_IMAGE}
    return verdict(f"Module.symvers has {len(listed)} symbols of the kernel image and {len(modules)} modules", wrong)


@check("symbol-versions", meaning='the kernel refuses a module: "disagrees about version of symbol"', of="packages")
def symbol_versions(subject: Subject) -> Finding:
    """With CONFIG_MODVERSIONS: each module expects, and has, the CRCs of Module.symvers."""
    if not is_on(config(subject), "MODVERSIONS"):
        return skipped("CONFIG_MODVERSIONS is off: modules carry no symbol versions")
    found = symbols_of(subject)
    others = (module.exports for path, module in found.all() if not path.startswith("kernel/"))
    crcs = {symbol: own or 0 for exports in others for symbol, own in exports.items()}
    crcs |= {symbol: entry.crc for symbol, entry in symvers(subject).items()}
    wrong: list[str] = []
    count = 0
    for path, module in found.all():
        count += len(module.versions)
        wrong += _wrong_versions(path, module, crcs)
    return verdict(f"{count} symbol versions that modules expect, against Module.symvers", wrong)


def _wrong_versions(path: str, module: ModuleSymbols, crcs: Mapping[str, int]) -> Iterator[str]:
    for symbol, crc in sorted(module.versions.items()):
        if symbol not in crcs:
            yield f"{path} expects a version of {symbol}, which is not in Module.symvers"
        elif crcs[symbol] != crc:
            yield f"{path} expects {symbol} {crc:#010x}, Module.symvers has {crcs[symbol]:#010x}"
    # modpost gives no version of what has none (exports of assembly without a prototype).
    missing = {symbol for symbol in module.needs if crcs.get(symbol)}
    for symbol in sorted(missing - module.versions.keys()):
        yield f"{path} carries no version of {symbol}"
    for symbol, own in sorted(module.exports.items()):
        if symbol in crcs and crcs[symbol] != (own or 0):
            yield f"{path} exports {symbol} {own or 0:#010x}, Module.symvers has {crcs[symbol]:#010x}"


@check("symbol-use", meaning="the kernel refuses a module that uses a symbol which it may not use", of="packages")
def symbol_use(subject: Subject) -> Finding:
    """Exports for GPL-compatible modules only, and those of a namespace, are used by such that may."""
    found = symbols_of(subject)
    listed = symvers(subject)
    any_namespace = is_on(config(subject), "MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS")
    wrong, gpl_uses, namespace_uses = [], 0, 0
    for path, module in found.all():
        licence = next(iter(module.modinfo.get("license", ())), "none")
        imported = set(module.modinfo.get("import_ns", ()))
        for symbol in sorted(module.needs & listed.keys()):
            export = listed[symbol]
            gpl_uses += export.gpl_only
            namespace_uses += bool(export.namespace)
            if export.gpl_only and licence not in GPL_COMPATIBLE:
                wrong.append(f"{path} (licence {licence}) uses {symbol}, which is for GPL-compatible modules")
            if export.namespace and not any_namespace and not _imports(path, imported, export.namespace):
                wrong.append(f"{path} uses {symbol}, but does not import its namespace {export.namespace}")
    return verdict(
        f"{gpl_uses} uses of symbols for GPL-compatible modules, {namespace_uses} of those in a namespace", wrong
    )


def _imports(path: str, imported: set[str], namespace: str) -> bool:
    """Whether a module may use a namespace; `module:a,b` (Linux 6.16) is imported by being named, `*` ends a prefix."""
    if not namespace.startswith("module:"):
        return namespace in imported
    names = namespace.removeprefix("module:").split(",")
    return any(
        normal(path).startswith(normal(name[:-1])) if name.endswith("*") else normal(path) == normal(name)
        for name in names
    )
