"""An image as an OCI image layout in a folder of the cache, for a builder that has none of the engine's images.

The folder has what the engine saved, and beside that `sums.json`, by which a file that has rotted is noticed. Next to
it stand `FOLDER.lock` and, while it is made, `FOLDER.part` (`builder.hostcache`).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from builder.files import locked, unpack_tar
from builder.inputs.store import file_sha256

_INDEX = "index.json"
_SUMS = "sums.json"

log = logging.getLogger(__name__)


def have_layout(folder: Path, save: Callable[[Path], None]) -> None:
    """See that a folder has an image's layout as it was saved: made when it is not there, anew when it is damaged.

    Args:
        folder: Its place in the cache, whose parent is there.
        save: Writes the image as an archive (`docker save`).

    Raises:
        OSError: It cannot be written.
    """
    part = folder.with_name(f"{folder.name}.part")
    with locked(folder.with_name(f"{folder.name}.lock")):
        if _is_whole(folder):
            return
        if folder.exists():
            log.warning("%s is damaged: it is made anew", folder)
        _remove(part)  # of a run that was killed
        try:
            part.mkdir()
            _make(part / "layout", part / "image.tar", save)
            _remove(folder)
            (part / "layout").rename(folder)
        finally:
            _remove(part)


def _make(layout: Path, tar: Path, save: Callable[[Path], None]) -> None:
    save(tar)
    unpack_tar(tar, layout)
    files = [path for path in sorted(layout.rglob("*")) if path.is_file()]
    sums = {str(path.relative_to(layout)): file_sha256(path) for path in files}
    (layout / _SUMS).write_text(json.dumps(sums, indent=1) + "\n")


def _is_whole(layout: Path) -> bool:
    """Whether all that was saved is there, and what it was; if so, it is noted as used."""
    sums = layout / _SUMS
    try:
        wanted = json.loads(sums.read_text())
        whole = _INDEX in wanted and all(file_sha256(layout / name) == sum for name, sum in wanted.items())
        if whole:
            sums.touch()
    except (OSError, ValueError):
        return False
    return whole


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
