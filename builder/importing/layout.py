"""A checkout of rancher/os-kernel or burmilla/os-kernel as data: which files it has for which architecture, and what
its scripts set. Nothing of it is executed.

Three layouts are known: `config/ARCH/`, `modules/ARCH/`, `firmware/ARCH/` and `patches/ARCH/` (from 4.14 on);
`config/kernel-config`, `modules.list`, `modules-extra.list`, `scripts/firmware` and `patches/` for x86 alone (4.8 to
4.18); and the same without module lists (4.2), where one package has the whole kernel.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.errors import InputError

HEADER = re.compile(rb"^# Linux/\S+ (\d+\.\d+(?:\.\d+)?)(-\S+)? Kernel Configuration\r?$", re.MULTILINE)
"""The line of a config that says of which kernel it is; the second group is what is no release of kernel.org."""

BUILT = frozenset(
    ["assets", "build", "dist", "linux-firmware", ".buildroot-ccache", ".dl", ".kernel-ccache", ".trash-cache"]
)
"""Folders that its build leaves behind, which its .gitignore names."""

_OWN = ("lists/", "hooks/", "config/rosk.yaml", "config/rosk.schema.json")
_SCRIPTS = ("Dockerfile.dapper", "build.sh", "scripts/build-common", "scripts/download")
_NAMES = ("KERNEL_TAG", "KERNEL_URL", "OS_REPO", "FIRMWARE_TAG")
# At the start of a line: NAME=value, perhaps after ARG, ENV or export; `ENV NAME value`; `: ${NAME:="value"}`.
_ASSIGNED = re.compile(
    rf"\s*(?:(?:ARG|ENV|export)\s+|:\s*\$\{{)?({'|'.join(_NAMES)})(?::?=|\s+(?=\S))[\"']?([^\s\"'}}\\]+)"
)
_MOST = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A value that a script of the checkout sets, and where."""

    value: str
    where: str


@dataclass(frozen=True, kw_only=True)
class ArchFiles:
    """The files of one architecture, as paths in the checkout; None for one that is not there."""

    name: str
    config: str | None
    modules: str | None
    extra: str | None
    firmware: str | None
    patches: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        named = (self.config, self.modules, self.extra, self.firmware)
        return (*(name for name in named if name), *self.patches)


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A checkout.

    Attributes:
        root: Its folder.
        files: Every file of it, as a path in it, but those of .git, of its builds, and of rosk.
        built: The folders that builds have left in it.
        arches: What it has for each architecture, by the architecture's name.
        hooks: The hook scripts.
        settings: What its scripts set to a fixed value, by name: KERNEL_TAG, KERNEL_URL, OS_REPO, FIRMWARE_TAG.
        image: What its build container starts from.
    """

    root: Path
    files: tuple[str, ...]
    built: tuple[str, ...]
    arches: Mapping[str, ArchFiles]
    hooks: tuple[str, ...]
    settings: Mapping[str, Setting]
    image: Setting | None

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            InputError: It is no file of the checkout, cannot be read, or is larger than any that it could be.
        """
        return _read(self.root, name)

    def is_executable(self, name: str) -> bool:
        """Whether the file may be run."""
        return os.access(self.root / name, os.X_OK)


def read_checkout(root: Path) -> Checkout:
    """Look at a checkout.

    Raises:
        InputError: The folder is not there, or is no checkout of os-kernel.
    """
    root = root.resolve()
    if not root.is_dir():
        raise InputError("there is no such folder", where=root, hint="give the folder of a clone of os-kernel")
    if not list(root.glob("config/kernel-config")) + list(root.glob("config/*/kernel-config")):
        raise InputError(
            "this is no checkout of os-kernel: it has no config/ARCH/kernel-config",
            where=root,
            hint="give the folder of a clone of rancher/os-kernel or burmilla/os-kernel, or of a fork of one",
        )
    if not any((root / name).exists() for name in ("Dockerfile.dapper", "scripts/build-common")):
        raise InputError(
            "this is no checkout of os-kernel: it has neither a Dockerfile.dapper nor scripts/build-common",
            where=root,
            hint="a rosk project needs no import"
            if (root / "config/rosk.yaml").exists()
            else "is it the right folder?",
        )
    built = tuple(sorted(name for name in BUILT if (root / name).is_dir() and any((root / name).iterdir())))
    files = tuple(sorted(_files(root)))
    return Checkout(
        root=root,
        files=files,
        built=built,
        arches=_arches(files),
        hooks=tuple(name for name in files if re.fullmatch(r"scripts/hooks/[^/]+", name)),
        settings=_settings(root, files),
        image=_image(root, files),
    )


def _files(root: Path) -> Iterator[str]:
    """Every file, and every link to a folder, which is not followed."""
    for folder, folders, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        skipped = {".git", *BUILT} if folder == str(root) else {".git"}
        folders[:] = sorted(name for name in folders if name not in skipped and name not in links)
        for name in (*names, *links):
            path = (inside / name).as_posix()
            if not path.startswith(_OWN) and path != ".git":
                yield path


def _arches(files: Iterable[str]) -> dict[str, ArchFiles]:
    """The architectures by name. The layout without their folders is x86's."""
    files = set(files)
    names = {match[1] for name in files if (match := re.match(r"(?:config|modules|firmware|patches)/([^/]+)/", name))}
    if not names or "config/kernel-config" in files:
        patches = [name for name in files if re.fullmatch(r"patches/[^/]+\.patch", name)]
        return {"x86": _arch("x86", files, "config/", "", "scripts/", patches)}
    return {
        name: _arch(
            name,
            files,
            f"config/{name}/",
            f"modules/{name}/",
            f"firmware/{name}/",
            [path for path in files if path.startswith(f"patches/{name}/") and path.endswith(".patch")],
        )
        for name in sorted(names)
    }


def _arch(name: str, files: set[str], config: str, lists: str, firmware: str, patches: Iterable[str]) -> ArchFiles:
    def there(path: str) -> str | None:
        return path if path in files else None

    return ArchFiles(
        name=name,
        config=there(f"{config}kernel-config"),
        modules=there(f"{lists}modules.list"),
        extra=there(f"{lists}modules-extra.list"),
        firmware=there(f"{firmware}firmware"),
        patches=tuple(sorted(patches)),
    )


def _settings(root: Path, files: Iterable[str]) -> dict[str, Setting]:
    """The first fixed value of each name; one that refers to a variable is none."""
    found: dict[str, Setting] = {}
    for name in (name for name in _SCRIPTS if name in set(files)):
        for number, line in enumerate(_read(root, name).decode(errors="replace").splitlines(), 1):
            if (match := _ASSIGNED.match(line)) and "$" not in match[2]:
                found.setdefault(match[1], Setting(value=match[2], where=f"{name}:{number}"))
    return found


def _image(root: Path, files: Iterable[str]) -> Setting | None:
    if "Dockerfile.dapper" not in files:
        return None
    for number, line in enumerate(_read(root, "Dockerfile.dapper").decode(errors="replace").splitlines(), 1):
        if match := re.match(r"FROM\s+(?:--\S+\s+)?([!-~]+)", line):
            return Setting(value=match[1], where=f"Dockerfile.dapper:{number}")
    return None


def _read(root: Path, name: str) -> bytes:
    path = root / name
    try:
        if not path.resolve(strict=True).is_relative_to(root):
            raise InputError("the link leads out of the checkout", where=name, hint="put the file itself there")
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise InputError("this is no file", where=name, hint="is the checkout whole?")
        if about.st_size > _MOST:
            raise InputError(f"the file is larger than {_MOST >> 20} MiB", where=name, hint="is it the right file?")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError(what, where=name, hint="is the checkout whole?") from error
