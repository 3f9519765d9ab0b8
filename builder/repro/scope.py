"""The images and cache mounts of one run: they have a name of their own, and are gone when the run ends."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.engine.docker import Docker
from builder.engine.install import Say
from builder.errors import EngineError
from builder.inputs.fetch import default_cache


@contextmanager
def own_scope(engine: Docker, note: Say) -> Iterator[str]:
    """A word that names this run's images and cache mounts; they are gone when the block ends.

    What a killed run left behind is cleared first: each run has a file of its name, and holds a lock on it.
    """
    folder = default_cache() / "repro"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        with _locked(left) as got:
            if got:
                _clear(engine, left, note)
    file = folder / f"repro-{secrets.token_hex(4)}"
    with _locked(file):
        try:
            yield file.name
        finally:
            _clear(engine, file, note)


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold a lock on a file, made if it is missing, unless another process holds it; says whether it is held."""
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _clear(engine: Docker, file: Path, note: Say) -> None:
    """Remove a run's images and cache mounts; what cannot be removed now is left to the next run."""
    try:
        for tag in engine.tags(file.name):
            engine.untag(tag)
        engine.drop_cache_mounts(file.name)
    except EngineError as error:
        note(f"left behind until the next `rosk repro`: images and caches of {file.name} ({error.what})")
    else:
        file.unlink(missing_ok=True)
