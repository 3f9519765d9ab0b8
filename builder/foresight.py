"""What a build will have to do, from what it did the last time.

A guess, that costs little when it is wrong: a package that was fetched for nothing, a second solve, some seconds.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from builder.errors import InputError
from builder.graph import Context
from builder.project import Project
from builder.release import MANIFEST, describe_inputs
from builder.releasefolder import KINDS, find_release

_SMALL = ("kernel", "extras")
_CHANGED_BY = {"lists": _SMALL, "config": (*_SMALL, "headers"), "patches": KINDS, "hooks": KINDS}
"""Folder of the build context to the packages that an edit in it changes."""


def foreseen(project: Project, context: Context) -> tuple[str, ...]:
    """The packages that are other ones than those in `dist`, as far as the project's own files tell; to be fetched in
    the first solve.

    Args:
        context: Its folder is filled.
    """
    try:
        manifest = json.loads((project.dist / MANIFEST).read_text())
        before = dict(manifest["inputs"])
        settings, firmware = manifest["settings"], manifest["firmware"]["sha256"]
        same = (settings["lists"], settings["firmware"]), firmware
    except (OSError, ValueError, TypeError, KeyError):  # none, or of another rosk
        return KINDS
    now = describe_inputs(project, context.folder)
    changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    found = {package for name in changed for package in _CHANGED_BY.get(name.split("/")[0], KINDS)}
    model = project.settings.model_dump(mode="json")
    if same != ((model["lists"], model["firmware"]), context.archives(project).get("firmware")):
        found |= set(_SMALL)
    return tuple(package for package in KINDS if package in found)


def lasting(dist: Path, changed: Collection[str]) -> list[Path]:
    """The packages in `dist` that are to be those of the next release too.

    Args:
        changed: The others, as foreseen.
    """
    try:
        packages = find_release(dist).packages
    except (InputError, OSError):  # none, of another rosk, or another build is just replacing it
        return []
    return [path for kind, path in packages.items() if kind not in changed]
