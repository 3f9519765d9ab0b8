"""The times and modes of a folder that becomes a layer of an image."""

from __future__ import annotations

import os
from pathlib import Path


def finish(out: Path, epoch: int) -> None:
    """Give all of a finished folder one time, and its folders one mode.

    Args:
        epoch: Seconds since 1970.
    """
    for folder, folders, files in os.walk(out, topdown=False):
        for name in [*files, *folders]:
            os.utime(Path(folder) / name, (epoch, epoch), follow_symlinks=False)
        Path(folder).chmod(0o755)
        os.utime(folder, (epoch, epoch))
