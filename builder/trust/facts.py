"""What the documents of a release are made from: its manifest, and what lies in the staging folder beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.errors import MessageError
from pathlib import Path
from typing import Any

from builder.patches.series import About, about
from builder.project import Project

_PATCHES, _HOOKS = "patches/", "hooks/"


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file of the project that changed the source.

    Attributes:
        name: As in the build context (`patches/0001-a.patch`).
        sha256: Its checksum (hex).
        about: What a patch says of itself; None for a hook.
    """

    name: str
    sha256: str
    about: About | None = None


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """The firmware that ships.

    Attributes:
        sums: Kind of package (`kernel`, `extras`) to its firmware: path as under lib/firmware to `sha1` and `sha256`.
        licences: The same paths to what WHENCE says of their licence, as far as it does.
    """

    sums: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A release.

    Attributes:
        manifest: As in `manifest.json`.
        manifest_sha256: The checksum of that file (hex).
        packages: Kind (`kernel`, `extras`, `headers`, `source`) to the package's file below `kernel/`.
        source_package: Debian's package of the source, where it is one.
        changes: The patches that were applied and the hooks that ran, in that order.
    """

    manifest: Mapping[str, Any]
    manifest_sha256: str
    packages: Mapping[str, str]
    source_package: str | None = None
    changes: tuple[Input, ...] = ()
    firmware: Firmware = Firmware()

    @property
    def name(self) -> str:
        """What the release is called: `linux-V-A`."""
        return f"linux-{self.manifest['release']}-{self.manifest['arch']}"


def read_facts(
    project: Project, manifest: Mapping[str, Any], *, manifest_sha256: str, context: Path, reports: Path
) -> Facts:
    """The facts of a release that was just built.

    Args:
        context: The build context. Of a patch that it lacks (one for other kernel versions) nothing was built.
        reports: The reports of the stages; what is missing there is not known.
    """
    changes = []
    for name, entry in manifest["inputs"].items():
        copy = context / name
        if name.startswith(_PATCHES) and copy.is_file():
            changes.append(Input(name=name, sha256=entry["sha256"], about=_about(copy.read_bytes())))
        elif name.startswith(_HOOKS):
            changes.append(Input(name=name, sha256=entry["sha256"]))
    return Facts(
        manifest=manifest,
        manifest_sha256=manifest_sha256,
        packages={kind: f"kernel/{name}" for kind, name in project.packages(manifest["release"]).items()},
        source_package=project.source.package,
        changes=tuple(changes),
        firmware=_firmware(reports / "firmware.json"),
    )


def _about(content: bytes) -> About:
    """What a patch says of itself; nothing where its header is one that the mail parser breaks at."""
    try:
        return about(content)
    except (MessageError, ValueError, LookupError, AttributeError):
        return About(subject="", author="", origin="", upstream="", limits="")


def _firmware(report: Path) -> Firmware:
    told = json.loads(report.read_text()) if report.is_file() else {}
    sums, packages = told.get("sums", {}), {"main": "kernel", "extra": "extras"}
    return Firmware(
        sums={packages[name]: files for name, files in sums.items() if files}, licences=told.get("licences", {})
    )
