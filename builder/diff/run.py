"""`rosk diff` from start to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from builder.diff.asjson import as_json
from builder.diff.compare import Differences, compare
from builder.diff.contents import Located, read_all
from builder.diff.folders import locate_folder
from builder.diff.images import Engine, locate_images, references
from builder.diff.render import print_differences


def run_diff(old: str, new: str, *, json_wanted: bool = False, full: bool = False) -> Differences:
    """Compare two releases and print how they differ on standard output.

    Args:
        old, new: A folder with a release, or the reference of one of its images; an existing folder wins.
        json_wanted: Print it as one JSON object.
        full: Print long lists as a whole.

    Raises:
        InputError: One of them is no release.
        EngineError: The engine cannot get an image.
    """
    told = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    found = differences(old, new, note=lambda line: told.print(line, markup=False))
    if json_wanted:
        print(json.dumps(as_json(found), indent=1))
    else:
        print_differences(Console(highlight=False, emoji=False), found, full=full)
    return found


def differences(old: str, new: str, *, note: Callable[[str], None], engine: Engine | None = None) -> Differences:
    """Compare two releases.

    Args:
        note: Told what takes a while.
        engine: Has the images; the one that `docker` finds when None.
    """
    names = (old, new)
    for name in names:
        if not _is_folder(name):
            references(name)  # what is wrong with it is said before anything else is done
    with ExitStack() as stack:
        located = [_locate(name, stack, engine, note) for name in names]
        return compare(*read_all(located))


def _locate(name: str, stack: ExitStack, engine: Engine | None, note: Callable[[str], None]) -> Located:
    if _is_folder(name):
        return locate_folder(Path(name))
    if engine is None:
        from builder.engine.docker import Docker  # noqa: PLC0415 - slow to import, and folders need none

        engine = Docker()
    folder = stack.enter_context(TemporaryDirectory(prefix="rosk-"))
    return locate_images(name, engine, Path(folder), note=note)


def _is_folder(name: str) -> bool:
    return bool(name) and Path(name).is_dir()
