"""The hook scripts of a project that no build runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def idle_hooks(root: Path) -> list[str]:
    """The scripts in a project's `hooks/` that are not executable, by their names there; most likely by mistake."""
    found = []
    for path in sorted((root / "hooks").glob("*"), key=lambda path: os.fsencode(path.name)):
        with suppress(OSError):
            if path.is_file() and not os.access(path, os.X_OK) and path.read_bytes().startswith(b"#!"):
                found.append(f"hooks/{path.name}")
    return found
