"""Read a kernel tree's kbuild Makefiles: which option builds which module, and how many objects a config compiles.

See Documentation/kbuild/makefiles.rst for what is read: `obj-y`, `obj-m`, `lib-y`, composite objects (`foo-y`,
`foo-objs`), folders, and the lists of the top Makefiles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.stages.makefile import Makefile, logical_lines

_MODULE_LINE = re.compile(r"obj-\$[({]CONFIG_(\w+)[)}]\s*[:+]?=\s*(.*)$")
_OBJECT = re.compile(r"[\w./-]+\.o")
_NO_MODULES = ("Documentation", "scripts", "tools", "arch")
# Folders that no `obj-y` reaches: Makefiles of the architecture go into them for the image.
_IMAGE_FOLDERS = {"x86": ("arch/x86/boot", "arch/x86/boot/compressed", "arch/x86/realmode/rm")}
# Lists of the top Makefiles that name the folders to begin with (the top Kbuild's obj-y since Linux 6.1).
_ROOTS = ("init-y", "core-y", "drivers-y", "net-y", "libs-y", "virt-y", "head-y")
# Objects that are in no list: bounds.s, asm-offsets.s, version-timestamp.o, .vmlinux.export.o, .module-common.o, and
# three of kallsyms.
_UNLISTED = 8


class Kbuild:
    """The kbuild Makefiles of a kernel tree for one architecture.

    Args:
        tree: The kernel source tree.
        srcarch: The name of its folder in `arch/`: x86, arm64.
    """

    def __init__(self, tree: Path, srcarch: str) -> None:
        self.tree = tree
        self.srcarch = srcarch

    def module_options(self, values: Mapping[str, str]) -> dict[str, list[str]]:
        """The options that build each module of the tree, enabled or not: `kernel/fs/ext4/ext4.ko` → `EXT4_FS`.

        Args:
            values: A config's values by option name; of several options the one set to m or y comes first.
        """
        found: dict[str, list[str]] = {}
        for folder, makefile in self._makefiles():
            for line in logical_lines(makefile.read_text(errors="replace")):
                match = _MODULE_LINE.match(line.strip())
                for word in match[2].split() if match else ():
                    if _OBJECT.fullmatch(word):
                        path = os.path.normpath(f"kernel/{folder}/{word[:-2]}.ko")
                        found.setdefault(path, []).append(match[1] if match else "")
        rank = {"m": 0, "y": 1}
        return {
            path: sorted(dict.fromkeys(options), key=lambda option: rank.get(values.get(option, "n"), 2))
            for path, options in found.items()
        }

    def _makefiles(self) -> Iterator[tuple[Path, Path]]:
        """Each folder (as under the tree) with its kbuild file."""
        arch = self.tree / "arch" / self.srcarch
        tops = [path for path in sorted(self.tree.iterdir()) if path.is_dir() and path.name not in _NO_MODULES]
        for top in (*tops, arch):
            for folder, folders, files in os.walk(top):
                folders.sort()
                name = "Kbuild" if "Kbuild" in files else "Makefile"
                if name in files:
                    yield Path(folder).relative_to(self.tree), Path(folder, name)

    def objects(self, values: Mapping[str, str]) -> int:
        """About how many objects (kbuild's lines `CC` and `AS`) a build of the image and the modules compiles.

        Args:
            values: The config's values by option name, strings with their quotes.
        """
        return len(self.object_names(values)) + _UNLISTED

    def object_names(self, values: Mapping[str, str]) -> set[str]:
        """The objects behind `objects`, as paths in the object tree."""
        return _Walk(self.tree, self.srcarch, values).run()

    def parts(self, values: Mapping[str, str]) -> dict[str, set[str]]:
        """The objects that each module is linked of, by its path: also of what a config builds in."""
        walk = _Walk(self.tree, self.srcarch, values)
        walk.run()
        return walk.parts


class _Walk:
    """Goes through the folders that a config enters, and gathers their objects."""

    def __init__(self, tree: Path, srcarch: str, values: Mapping[str, str]) -> None:
        self.tree = tree
        self.srcarch = srcarch
        self.given = {f"CONFIG_{name}": value.strip('"') for name, value in values.items() if value != "n"}
        self.given |= {"SRCARCH": srcarch, "ARCH": srcarch, "BITS": "64" if "64BIT" in values else "32"}
        self.found: set[str] = set()
        self.parts: dict[str, set[str]] = {}
        self.seen: set[tuple[str, bool]] = set()

    def run(self) -> set[str]:
        # As kbuild calls itself: what lies outside of this is only about the command line.
        top = Makefile(self.tree, {**self.given, "sub_make_done": "1", "MAKEFLAGS": "--no-print-directory"})
        top.read(self.tree / "Makefile")
        roots = [word for name in _ROOTS for word in top.words(name)]
        lists = {"ARCH_CORE": "core-y", "ARCH_LIB": "libs-y", "ARCH_DRIVERS": "drivers-y"}
        kbuild = Makefile(self.tree, {**self.given, **{name: top.value(source) for name, source in lists.items()}})
        kbuild.read(self.tree / "Kbuild")
        for word in (*roots, *kbuild.words("obj-y"), *kbuild.words("obj-m")):
            if word.endswith("/"):
                self.folder(word.rstrip("/"), builtin=True)
        for folder in _IMAGE_FOLDERS.get(self.srcarch, ()):
            self.folder(folder, builtin=True)
        return self.found

    def folder(self, name: str, *, builtin: bool) -> None:
        """Gather a folder's objects and go into its subfolders.

        Args:
            builtin: Whether it is entered for built-in objects; below an `obj-m += folder/` only modules are built.
        """
        name = os.path.normpath(name)
        if (name, builtin) in self.seen:
            return
        self.seen.add((name, builtin))
        path = self.tree / name
        make = Makefile(self.tree, {**self.given, "obj": name, "src": name})
        make.read(path / "Kbuild" if (path / "Kbuild").is_file() else path / "Makefile")
        for variable in ("obj-y", "lib-y", "obj-m", "lib-m"):
            for word in make.words(variable):
                if word.endswith("/"):
                    self.folder(f"{name}/{word}", builtin=builtin and variable.endswith("-y"))
                elif word.endswith(".o") and (builtin or variable == "obj-m"):
                    self.object(make, name, word, module=variable == "obj-m")
        if builtin:
            for word in (*make.words("subdir-y"), *make.words("subdir-m")):
                self.folder(f"{name}/{word}", builtin=True)
            for word in make.words("targets"):
                if word.endswith(".o") and "/" not in word.removeprefix("vdso32/"):
                    self.add(name, word)

    def object(self, make: Makefile, folder: str, word: str, *, module: bool) -> None:
        stem = word.removesuffix(".o")
        parts = [part for end in ("objs", "y", *(["m"] if module else [])) for part in make.words(f"{stem}-{end}")]
        for part in parts or [word]:
            if part.endswith(".o"):
                self.add(folder, part)
                self.parts.setdefault(os.path.normpath(f"kernel/{folder}/{stem}.ko"), set()).add(
                    os.path.normpath(f"{folder}/{part}")
                )
        if module:
            self.found.add(os.path.normpath(f"{folder}/{stem}.mod.o"))

    def add(self, folder: str, word: str) -> None:
        # objcopy makes foo.stub.o (the EFI stub) and foo.pi.o (position-independent code) from a compiled foo.o.
        word = re.sub(r"\.(?:stub|pi)\.o$", ".o", word)
        path = os.path.normpath(word if word.startswith(f"{folder}/") else f"{folder}/{word}")
        if not (self.tree / path).with_suffix(".rs").is_file():
            self.found.add(path)
