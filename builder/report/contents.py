"""What the packages of a release hold, as far as the report shows it: the sizes of files, and the modules where the
build did not leave word of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from builder.releasefolder import ReleaseFolder
from builder.report.record import ModuleFacts
from builder.stages.common import StageError
from builder.stages.modules import scan
from builder.verify import unpack
from builder.verify.model import MissingProgram
from builder.verify.subject import plain

Package = Literal["main", "extra"]
"""The kernel and the extras package, as `modules.json` calls them."""

_PACKAGES: Mapping[str, Package] = {"kernel": "main", "extras": "extra"}
_FIRMWARE = "lib/firmware/"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the kernel and the extras package hold.

    Attributes:
        boot: Path (`boot/vmlinuz-V`) to bytes.
        firmware: Path below lib/firmware to package and bytes; a link has none.
        modules: Path below lib/modules/V to what each module says of itself; empty when nobody asked for it.
        unread: What could not be read, and why: one line each.
    """

    boot: Mapping[str, int] = field(default_factory=dict)
    firmware: Mapping[str, tuple[Package, int]] = field(default_factory=dict)
    modules: Mapping[str, ModuleFacts] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def read_contents(release: ReleaseFolder, packages: Mapping[str, unpack.Contents], *, modules: bool) -> Contents:
    """Read the packages of a release; what is damaged is said and left out.

    Args:
        packages: Those that have been read, by kind.
        modules: Unpack them, and read each module too.
    """
    files: dict[str, tuple[Package, int]] = {}
    unread: list[str] = []
    found: dict[str, ModuleFacts] = {}
    with TemporaryDirectory(prefix="rosk-report-") as work:
        for kind, package in _PACKAGES.items():
            if kind not in release.packages:
                unread.append(f"there is no {kind} package")
                continue
            try:
                known = None if modules else packages.get(kind)
                contents = known or unpack.read_package(release.packages[kind], Path(work) if modules else None)
            except MissingProgram as missing:
                unread.append(f"the {kind} package cannot be read: {missing} is not installed")
                continue
            if contents.damage:
                unread.append(f"the {kind} package cannot be read: {contents.damage}")
            for member in contents.members:
                if member.isfile() or member.issym():
                    files.setdefault(plain(member.name), (package, member.size))
        if modules:
            try:
                found = _modules(Path(work, "lib/modules", release.v), files, release.v)
            except (StageError, OSError, ValueError) as error:
                unread.append(f"the modules cannot be read: {error}")
    return Contents(
        boot={path: size for path, (_, size) in files.items() if path.startswith("boot/")},
        firmware={
            path.removeprefix(_FIRMWARE): entry
            for path, entry in files.items()
            if path.startswith(_FIRMWARE) and path != f"{_FIRMWARE}.git-commit"
        },
        modules=found,
        unread=tuple(unread),
    )


def _modules(folder: Path, files: Mapping[str, tuple[Package, int]], v: str) -> dict[str, ModuleFacts]:
    """The modules of both packages, unpacked to one folder."""
    built = scan(folder)
    return {
        path: ModuleFacts(
            package=files[f"lib/modules/{v}/{path}"][0],
            size=module.size,
            depends=built.depends(path),
            softdeps=list(module.softdeps),
            firmware=list(module.firmware),
            license=module.license,
        )
        for path, module in built.modules.items()
    }
