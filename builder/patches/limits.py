"""Which patches go into a build: known once the kernel's version is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from builder.inputs.check import as_input_error
from builder.stages.patchlimits import read_limits


def select_patches(inputs: Mapping[str, Path], root: Path, version: str) -> dict[str, bool]:
    """Each patch among a project's inputs, and whether it is meant for a kernel version.

    Args:
        inputs: Name in the build context (`patches/a.patch`) to file.
        root: The project's folder, for errors.

    Raises:
        InputError: What one of them says of versions is not understood.
    """
    with as_input_error(inputs, root):
        return {
            name: read_limits(path.read_bytes(), name).admit(version)
            for name, path in inputs.items()
            if name.startswith("patches/")
        }


def limit_context(inputs: Mapping[str, Path], root: Path, folder: Path, version: str) -> list[str]:
    """Leave in a build context the patches that are meant for a kernel version, and put in those that are missing.

    Args:
        folder: The context, as `builder.context.write_context` has made it.

    Returns:
        The names of those that are left out (`patches/a.patch`).
    """
    chosen = select_patches(inputs, root, version)
    for name, wanted in chosen.items():
        target = folder / name
        if not wanted:
            target.unlink(missing_ok=True)
        elif not target.exists():
            shutil.copyfile(inputs[name], target)
    return [name for name, wanted in chosen.items() if not wanted]
