"""The modules of a finished build: what each says of itself in `.modinfo`, and who needs whom.

Module names follow kmod: the file's name without `.ko`, in which `-` and `_` are equal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder.stages.common import StageError
from builder.stages.elf import modinfo, parse_modinfo


@dataclass(frozen=True, kw_only=True)
class Module:
    """One built module.

    Attributes:
        path: As under lib/modules/<release> (`kernel/fs/btrfs/btrfs.ko`).
        size: In bytes.
        depends: Names of the modules that export symbols it uses.
        softdeps: Names or aliases of its `softdep: pre:`.
        aliases: Its aliases that are no patterns, `-` written as `_`.
        firmware: What it may ask the firmware loader for, as under lib/firmware.
        license: Its first `license`, if it has one.
    """

    path: str
    size: int
    depends: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    license: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModuleSet:
    """All modules of a build, looked up by path, name and alias.

    Attributes:
        modules: Path → module, sorted.
        names: Name → paths.
        aliases: Alias → paths.
        builtin: Name → path, of what would be modules but is part of the kernel image (modules.builtin).
        builtin_aliases: Aliases of those (modules.builtin.modinfo).
        builtin_firmware: Name of those → what they may ask the firmware loader for, where they say it.
    """

    modules: dict[str, Module]
    names: dict[str, list[str]]
    aliases: dict[str, list[str]]
    builtin: dict[str, str]
    builtin_aliases: frozenset[str]
    builtin_firmware: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def depends(self, path: str) -> list[str]:
        """Paths of the modules that a module cannot be loaded without."""
        return sorted(found for name in self.modules[path].depends for found in self.names.get(name, ()))

    def closure(self, paths: Iterable[str]) -> set[str]:
        """`paths` and all that they depend on, transitively."""
        seen: set[str] = set()
        todo = list(paths)
        while todo:
            path = todo.pop()
            if path not in seen:
                seen.add(path)
                todo += self.depends(path)
        return seen

    def is_builtin(self, name: str) -> bool:
        """Whether the kernel image itself provides a module name or alias."""
        return normal(name) in self.builtin or normal(name) in self.builtin_aliases

    def providers(self, name: str) -> list[str]:
        """Paths of the modules that modprobe would load for a name or alias."""
        return self.names.get(normal(name)) or self.aliases.get(normal(name), [])


def normal(name: str) -> str:
    """A module's name from its file's name or path, or an alias, with `_` for `-`."""
    return name.rpartition("/")[2].removesuffix(".ko").replace("-", "_")


def scan(root: Path) -> ModuleSet:
    """Read all modules below a lib/modules/<release> folder.

    Raises:
        StageError: There is a compressed module, or a file that is no module.
    """
    modules = {path: _read(root, path) for path in _find(root)}
    names: dict[str, list[str]] = {}
    aliases: dict[str, list[str]] = {}
    for path, module in modules.items():
        names.setdefault(normal(path), []).append(path)
        for alias in module.aliases:
            aliases.setdefault(alias, []).append(path)
    builtin = _read_if_there(root / "modules.builtin").decode().split()
    # Each string is `module.key=value`: Documentation/kbuild/kbuild.rst, modules.builtin.modinfo.
    told = parse_modinfo(_read_if_there(root / "modules.builtin.modinfo"))
    return ModuleSet(
        modules=modules,
        names=names,
        aliases=aliases,
        builtin={normal(path): path for path in builtin},
        builtin_aliases=frozenset(
            normal(value) for key, values in told.items() if key.endswith(".alias") for value in values
        ),
        builtin_firmware={
            normal(key.removesuffix(".firmware")): tuple(sorted(set(values)))
            for key, values in told.items()
            if key.endswith(".firmware")
        },
    )


def _find(root: Path) -> list[str]:
    """Paths of all modules below a folder, sorted."""
    found, compressed = [], []
    for folder, _, files in os.walk(root):
        below = Path(folder).relative_to(root)
        for name in files:
            if name.endswith(".ko"):
                found.append((below / name).as_posix())
            elif name.endswith((".ko.gz", ".ko.xz", ".ko.zst")):
                compressed.append((below / name).as_posix())
    if compressed:
        raise StageError(
            f"{len(compressed)} modules are compressed, for example {min(compressed)}",
            hint="set CONFIG_MODULE_COMPRESS=n (before Linux 6.12: CONFIG_MODULE_COMPRESS_NONE=y)",
            where="config/kernel-config",
        )
    return sorted(found)


def _read(root: Path, path: str) -> Module:
    """One module of a folder."""
    fields = modinfo(root / path)
    depends = [normal(name) for value in fields.get("depends", ()) for name in value.split(",") if name]
    return Module(
        path=path,
        size=(root / path).stat().st_size,
        depends=tuple(sorted(set(depends))),
        softdeps=pre_softdeps(fields.get("softdep", ())),
        aliases=tuple(normal(alias) for alias in fields.get("alias", ()) if not set(alias) & set("*?[")),
        firmware=tuple(sorted(set(fields.get("firmware", ())))),
        license=next(iter(fields.get("license", ())), None),
    )


def pre_softdeps(values: Sequence[str]) -> tuple[str, ...]:
    """The names after `pre:` of a module's softdep lines (`pre: a b post: c`; see modprobe.d(5)), in order."""
    names: dict[str, None] = {}
    for value in values:
        section = ""
        for word in value.split():
            if word in ("pre:", "post:"):
                section = word
            elif section == "pre:":
                names[word] = None
    return tuple(names)


def _read_if_there(path: Path) -> bytes:
    """A file's content, or nothing when there is no such file."""
    return path.read_bytes() if path.exists() else b""
