"""A shared cache in a folder: an OCI image layout as BuildKit's `type=local` writes it, for several builds at a time.

`index.json` has the names of the caches in it. buildx writes that file in place, under a lock beside it that it does
not wait for, and fails a solve whose index it cannot read (`StoreIndex` in BuildKit's client/ociindex).
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from builder.publish.content import REF_NAME, parse_json

INDEX = "index.json"
DAMAGED = "index.json.damaged"
"""What a damaged index is called when another takes its place."""
_LOCK = "index.json.lock"
_WAIT, _PAUSE = 5.0, 0.02
"""Seconds: how long others may have the index, and between two looks at whether they still do."""


def folder_tags(folder: Path) -> list[str]:
    """The names of the caches in a folder, the newest first; none when it holds no caches."""
    try:
        return [name for entry in reversed(entries(folder)) if (name := name_of(entry))]
    except (OSError, ValueError):
        return []


def entries(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder's index; none where there is no index yet.

    Raises:
        ValueError: It is damaged.
        OSError: It cannot be read.
    """
    with suppress(FileNotFoundError):
        if data := (folder / INDEX).read_bytes():
            return _listed(parse_json(data))
    return []


def name_of(entry: dict[str, Any]) -> str:
    """The name of the cache that an entry stands for; empty where it has none."""
    return str((entry.get("annotations") or {}).get(REF_NAME) or "")


def _listed(index: Any) -> list[dict[str, Any]]:
    """The entries of an index.

    Raises:
        ValueError: buildx would not read it.
    """
    listed = index.get("manifests") if isinstance(index, dict) else ""
    if not isinstance(listed, list | None) or not all(isinstance(each, dict) for each in listed or ()):
        raise ValueError("it is no image index")
    if not all(isinstance(each.get("annotations"), dict | None) for each in listed or ()):
        raise ValueError("an entry's annotations are no object")
    return listed or []


@contextmanager
def locked_index(folder: Path) -> Iterator[None]:
    """Keep other builds from the index of a folder, as buildx does.

    Raises:
        OSError: One of them has it all the time, or the lock cannot be made.
    """
    end = time.monotonic() + _WAIT
    with (folder / _LOCK).open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)
        yield


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the entries of a folder's index, in place: another build may have the file open already.

    Raises:
        ValueError: It is damaged.
        OSError: It cannot be read or written, or another build has it.
    """
    with locked_index(folder), (folder / INDEX).open("r+b") as file:
        index = parse_json(file.read())
        change(_listed(index))
        data = json.dumps(index).encode()
        os.pwrite(file.fileno(), data, 0)
        file.truncate(len(data))


def make_writable(folder: Path, warn: Callable[[str], None]) -> bool:
    """Have a folder that a cache can be written to; whether there is one.

    buildx would ignore an error only in what it writes to it first, and fail the solve for the rest. It is tried, and
    not looked up: root may write everywhere, and yet cannot on a file system that is read-only.

    Args:
        warn: Told why there is none, and of an index that was put aside since it is damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name in (INDEX, "oci-layout"):  # buildx writes these in place
            with suppress(FileNotFoundError), (folder / name).open("r+b"):
                pass
        _put_aside_damaged(folder, warn)
    except OSError as error:
        warn(f"no cache is written to {folder}: {error.strerror}")
        return False
    return True


def _put_aside_damaged(folder: Path, warn: Callable[[str], None]) -> None:
    """Move an index away that nobody can read; what it named is lost already."""
    if not _is_damaged(folder):
        return
    with locked_index(folder):
        if _is_damaged(folder):  # and not just being written
            (folder / INDEX).replace(folder / DAMAGED)
            warn(f"the index of the cache {folder} is damaged: it is {DAMAGED} now, and the cache begins anew")


def _is_damaged(folder: Path) -> bool:
    try:
        entries(folder)
    except ValueError:
        return True
    return False
