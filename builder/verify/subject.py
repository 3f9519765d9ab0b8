"""A release under examination: its packages, read and unpacked once for all checks, with suspicion."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from tarfile import TarInfo
from typing import ParamSpec, Self, TypeVar

from builder.releasefolder import ReleaseFolder
from builder.stages.common import StageError
from builder.stages.elf import Elf, read_elf
from builder.stages.modules import ModuleSet, scan
from builder.summing import Sums
from builder.verify.banner import Banner, read_banner
from builder.verify.model import Finding, Unreadable, shown
from builder.verify.packed import Packed
from builder.verify.proved import Proved
from builder.verify.unpack import Contents, plain, read_member, read_package

__all__ = ["Subject", "Unreadable", "plain"]

MODULE_KINDS = ("kernel", "extras")
"""The packages that hold modules."""
INSTALLED = (*MODULE_KINDS, "headers")
"""The packages that go onto a machine; the source is large, and is looked at only where there is time."""
_UNPACKED: Mapping[str, re.Pattern[str] | None] = {
    **dict.fromkeys(MODULE_KINDS),
    "source": re.compile(r"(?:[^/]+/)?certs/"),
}
"""Which packages are unpacked when they are read, and what of them; None: all."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Subject:
    """A release and what was found in it.

    Args:
        release: The folder.
        work: An empty folder to unpack into; the caller removes it.
        keys: Files of the public keys whose signature counts; none: whoever made it will do.
        sums: What was summed up already.
        proved: What is known of an earlier release.

    Attributes:
        good: What checks that look at the packages alone have said of them, by name, where that was good.
    """

    def __init__(
        self,
        release: ReleaseFolder,
        work: Path,
        keys: Sequence[Path] = (),
        sums: Sums | None = None,
        proved: Proved | None = None,
    ) -> None:
        self.release = release
        self.work = work
        self.keys = keys
        self.good: dict[str, Finding] = {}
        self._headers_tar = work / "headers.tar"
        self._contents: dict[tuple[str, bool], Contents] = {}
        self._known = sums or Sums()
        self._proved = proved or Proved(sums={}, findings={})
        self._sums: dict[Path, Future[str]] = {}
        self._beside = ThreadPoolExecutor(2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._beside.shutdown(cancel_futures=True)

    def contents(self, kind: str) -> Contents:
        """What a package (see `KINDS`) holds, as far as it can be read; unpacked are those with modules, and of the
        source the certificates.

        Raises:
            Unreadable: There is no such package.
            MissingProgram: The program that reads its compression is not installed.
        """
        return self._read(kind, unpack=kind in _UNPACKED)

    @property
    def installed(self) -> list[str]:
        """Those of `INSTALLED` that the release has."""
        return [kind for kind in INSTALLED if kind in self.release.packages]

    def read_all(self) -> None:
        """Read the packages of `installed` at the same time: what can be known of them is ready then.

        The headers are left out where they are known to be good: thousands of files, of which few are asked for then.

        Raises:
            MissingProgram: See `contents`.
        """
        unproved = self.unproved("readable")
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.contents, [kind for kind in self.installed if kind in {*MODULE_KINDS, *unproved}]))

    def is_known(self, kind: str) -> bool:
        """Whether a package, and the config beside it, are those of the earlier release, by name and content."""
        files = [path for path in (self.release.packages.get(kind), self.release.file("config")) if path]
        return len(files) == 2 and all(
            path.name in self._proved.sums and path.is_file() and self._proved.sums[path.name] == self.sha256(path)
            for path in files
        )

    def unproved(self, check: str) -> list[str]:
        """Those of `installed` that a check, which looks at each package by itself, has not found good before."""
        if check not in self._proved.findings:
            return self.installed
        return [kind for kind in self.installed if not self.is_known(kind)]

    def proved_of_headers(self, check: str) -> Finding | None:
        """What a check, which looks at nothing but the headers and the config, has found good in the same ones."""
        return self._proved.findings.get(check) if self.is_known("headers") else None

    @property
    def packages(self) -> Mapping[str, Contents]:
        """What those packages hold that have been read."""
        return {kind: contents for (kind, _), contents in self._contents.items()}

    def members(self, kind: str) -> list[TarInfo]:
        """The members of a package as they stand in the archive, duplicates and all.

        Raises:
            Unreadable: There is no such package, or it cannot be read to its end.
            MissingProgram: See `contents`.
        """
        return list(self._whole(kind, unpack=kind in _UNPACKED).members)

    def tree(self, kind: str) -> Path:
        """A package unpacked (of the source, the certificates), without what would leave the folder.

        Raises:
            Unreadable: There is no such package, or it cannot be read to its end.
            MissingProgram: See `contents`.
        """
        self._whole(kind, unpack=True)
        return self.work / kind

    @cached_property
    def headers(self) -> Packed:
        """The files of the headers package, which are many, without unpacking it.

        Raises:
            Unreadable, MissingProgram: See `tree`.
        """
        return Packed(self._whole("headers", unpack=False).members, self._headers_tar)

    def headers_file(self, name: str) -> bytes | None:
        """A file of the headers package: of one that is known to be good no more is read than up to there.

        Raises:
            Unreadable, MissingProgram: See `tree`.
        """
        if "headers" not in (*self.unproved("readable"), *self.unproved("members-unique")):
            content = read_member(self.release.packages["headers"], name)
            if content is not None:
                return content
        return self.headers.read(name)

    def modules_folder(self, kind: str) -> Path:
        """`lib/modules/V` of the kernel or the extras package, unpacked; need not exist."""
        return self.tree(kind) / "lib/modules" / self.release.v

    @cached_property
    def modules(self) -> Mapping[str, ModuleSet]:
        """The modules of the kernel and the extras package, by the package's kind; none where there is no package.

        Raises:
            Unreadable: A package cannot be read, or a module.
        """
        return {kind: self._scan(kind) for kind in MODULE_KINDS}

    @cached_property
    def module_files(self) -> Mapping[str, Elf | str]:
        """Each file of both packages that is named like a module, as it says of itself, or what is wrong with it.

        The keys are the package's kind and the plain name (`extras: lib/modules/V/kernel/drivers/net/dummy.ko`).
        An ELF file without a section `.modinfo` is one of the wrong.

        Raises:
            Unreadable: A package cannot be read.
        """
        kinds = [kind for kind in MODULE_KINDS if kind in self.release.packages]
        names = [(kind, plain(member.name)) for kind in kinds for member in self.members(kind)]
        return {f"{kind}: {name}": _module(self.tree(kind) / name) for kind, name in names if name.endswith(".ko")}

    @cached_property
    def banner(self) -> Banner | str:
        """What the kernel image says of itself, or why it says nothing.

        Raises:
            Unreadable: There is no boot/vmlinuz-V, or the kernel package cannot be read.
        """
        image = self.tree("kernel") / f"boot/vmlinuz-{self.release.v}"
        if not image.is_file():
            raise Unreadable(f"there is no boot/{image.name}")
        try:
            return read_banner(image.read_bytes())
        except ValueError as error:
            return str(error)

    def sha256(self, path: Path) -> str:
        """The checksum of a file of the release (hex), summed up once.

        Raises:
            OSError: It cannot be read.
        """
        if path not in self._sums:
            self._sums[path] = self.beside(self._known.sha256, path)
        return self._sums[path].result()

    def sum_ahead(self) -> None:
        """Begin to sum up the packages, beside what is asked for next."""
        rest = self.release.packages.values() - self._sums.keys()
        for path in sorted(rest, key=lambda path: path.stat().st_size, reverse=True):
            self._sums[path] = self.beside(self._known.sha256, path)

    def beside(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a function, which leaves Python alone for most of its time, called beside what goes on here."""
        return self._beside.submit(function, *args, **kwargs)

    def _scan(self, kind: str) -> ModuleSet:
        absent = kind not in self.release.packages
        try:
            return scan(self.work / "none" if absent else self.modules_folder(kind))
        except (StageError, OSError, ValueError) as error:
            raise Unreadable(f"the modules of the {kind} package cannot be read: {error}") from error

    def _whole(self, kind: str, *, unpack: bool) -> Contents:
        contents = self._read(kind, unpack=unpack)
        if contents.damage:
            raise Unreadable(f"the {kind} package cannot be read: {shown(contents.damage)}")
        return contents

    def _read(self, kind: str, *, unpack: bool) -> Contents:
        if (kind, unpack) not in self._contents:
            package = self.release.packages.get(kind)
            if package is None:
                raise Unreadable(f"there is no {kind} package")
            target = self.work / kind if unpack else None
            if target is not None:
                target.mkdir(exist_ok=True)
            tar = self._headers_tar if kind == "headers" and not unpack else None
            self._contents[kind, unpack] = read_package(package, target, tar=tar, only=_UNPACKED.get(kind))
        return self._contents[kind, unpack]


def _module(path: Path) -> Elf | str:
    """A module with its `.modinfo`, or what is wrong with it."""
    try:
        elf = read_elf(path, ".modinfo")
    except StageError as error:
        return error.what.replace(str(path), "it")
    except (OSError, ValueError, OverflowError) as error:
        return f"it cannot be read: {error}"
    return elf if ".modinfo" in elf.sections else "it is not a kernel module: it has no .modinfo section"
