"""The hook scripts of a project: those that builds run, and those that none does."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from builder.errors import InputError


def find_hooks(root: Path) -> list[Path]:
    """The executables in a project's `hooks/`, in the order in which they run.

    Raises:
        InputError: One cannot be run, or there is something that was meant to be one.
    """
    found = []
    for path in sorted((root / "hooks").glob("*"), key=lambda path: os.fsencode(path.name)):
        if path.is_dir() or (path.is_symlink() and path.name.startswith(".")):  # an editor's lock is such a link
            continue
        if not path.is_file():
            raise InputError("this is no file, and no hook", where=path, hint="remove it, or see where its link leads")
        if os.access(path, os.X_OK):
            _check(path)
            found.append(path)
    return found


def _check(hook: Path) -> None:
    """See that errors can name a hook, and that the kernel finds the interpreter that it names."""
    if not hook.name.isprintable():
        what = f"the hook {hook.name!r} has a character in its name that no message can show"
        raise InputError(what, where=hook.parent, hint="rename it")
    try:
        with hook.open("rb") as file:
            first = file.readline()
    except OSError as error:
        hint = "see that it is a file that you may read"
        raise InputError(f"cannot be read: {error.strerror}", where=hook, hint=hint) from error
    if first.startswith(b"#!") and first.endswith(b"\r\n"):
        what = "the first line ends in CR LF, and CR is taken for a part of the interpreter's name"
        hint = "write the file with LF at the ends of its lines: dos2unix FILE, or `hooks/* eol=lf` in .gitattributes"
        raise InputError(what, where=hook, line=1, hint=hint)


def idle_hooks(root: Path) -> list[str]:
    """The scripts in a project's `hooks/` that are not executable, by their names there; most likely by mistake."""
    found = []
    for path in sorted((root / "hooks").glob("*"), key=lambda path: os.fsencode(path.name)):
        with suppress(OSError):
            if path.is_file() and not os.access(path, os.X_OK) and path.read_bytes().startswith(b"#!"):
                found.append(f"hooks/{path.name}")
    return found
