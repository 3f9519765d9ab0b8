"""What every writer of files needs: locks, no interruption, unpacking, and the system's errors in rosk's terms."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.errors import STOP_SIGNALS, InputError, NoSpaceError

log = logging.getLogger(__name__)

_COPY = 4 << 20
"""Bytes that are copied at once: `tarfile` copies 16 kB, which takes twice as long for a large file."""


@contextmanager
def locked(file: Path, *, shared: bool = False, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `file` (made if it is missing); waits for another process that holds it.

    Args:
        shared: Others may hold it at the same time that share it too.
        wait: Called when that takes waiting.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another rosk is at work on %s: waiting for it", file.with_suffix(""))
            if wait is not None:
                wait()
            fcntl.flock(opened, kind)
        yield


@contextmanager
def file_errors(folder: Path, *, name: str, full: str, refused: str) -> Iterator[None]:
    """Turn the system's errors on files of a folder into rosk's.

    Args:
        name: What the folder is, for messages (`cache`).
        full, refused: The next step when the disk is full, and when a file cannot be read or written.

    Raises:
        NoSpaceError: The disk (or the user's quota) is full.
        InputError: The folder, or a file that goes into it, cannot be used.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(f"no space left for the {name}", where=folder, hint=full) from error
        what = f"cannot use the {name}: {error.strerror or error}: {error.filename or folder}"
        raise InputError(what, where=folder, hint=refused) from error


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder that is gone when the block ends; the system's errors in the block are taken for errors on its files.

    Args:
        parent: Where it is made; the system's place for such folders when None.

    Raises:
        NoSpaceError: There is no room in it.
        InputError: None can be made.
    """
    errors = file_errors(
        parent or Path(tempfile.gettempdir()),
        name="temporary folder",
        full="make room there, or set TMPDIR to a folder with more",
        refused="set TMPDIR to a folder that can be written",
    )
    with errors, tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as folder:
        yield Path(folder)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let what stops a build wait until the block has ended.

    Blocking the signals would not do: another thread (that of a terminal's display) would get them, and Python calls
    the handler in this one all the same.
    """
    if threading.current_thread() is not threading.main_thread():  # no handler is called here
        yield
        return
    came: list[int] = []
    before = {stop: signal.signal(stop, lambda number, _: came.append(number)) for stop in STOP_SIGNALS}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
    for number in came[:1]:
        signal.raise_signal(number)


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Write files: each whole or not at all, and none before all are on the disk. They keep their permissions.

    Args:
        contents: By the file itself; where a link is to stay one, what it points to.

    Raises:
        OSError: One cannot be written.
    """
    ready = {path.with_name(f".{path.name}.{os.getpid()}.new"): path for path in contents}
    try:
        for temporary, path in ready.items():
            temporary.write_bytes(contents[path])
            if path.exists():
                temporary.chmod(path.stat().st_mode & 0o777)
        for temporary, path in ready.items():
            temporary.replace(path)
    finally:
        for temporary in ready:
            temporary.unlink(missing_ok=True)


def unpack_tar(tar: Path, folder: Path) -> None:
    """Unpack an archive that the engine wrote of what a stage made.

    For archives of anybody else there is `builder.verify.unpack`: Python's filters (PEP 706) are not in every Python
    3.11, Debian 12's for one.
    """
    with tarfile.TarFile(tar, copybufsize=_COPY) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
