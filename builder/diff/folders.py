"""A release in a folder: where its packages lie, and what its manifest says of where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.diff.contents import Located, Origin
from builder.releasefolder import find_release

_PATCHES = "patches/"


def locate_folder(folder: Path) -> Located:
    """The release in a folder.

    Raises:
        InputError: There is none.
    """
    release = find_release(folder)
    config = release.file("config")
    return Located(
        name=str(folder),
        packages=release.packages,
        sizes={f"{kind} package": path.stat().st_size for kind, path in release.packages.items()},
        v=release.v,
        a=release.a,
        origin=_origin(release.manifest) if release.manifest else None,
        config=config if config.is_file() else None,
    )


def _origin(manifest: Mapping[str, Any]) -> Origin:
    """What a manifest says, whoever wrote it: what is not of the form that rosk writes does not count."""
    inputs = _mapping(manifest.get("inputs"))
    return Origin(
        source=_mapping(manifest.get("source")),
        patches={
            name.removeprefix(_PATCHES): str(_mapping(entry).get("sha256", ""))
            for name, entry in inputs.items()
            if name.startswith(_PATCHES)
        },
        toolchain={
            name: str(version)
            for name, version in _mapping(_mapping(manifest.get("toolchain")).get("packages")).items()
        },
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
