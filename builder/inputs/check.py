"""The checks of a project's files that need no engine: seconds before a build, not minutes into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.errors import InputError
from builder.stages.common import StageError
from builder.stages.dotconfig import check_config
from builder.stages.lists import FIRMWARE, check_disjoint, parse_list
from builder.stages.patchfile import check_patch
from builder.stages.patchlimits import read_limits

MODULE_LISTS = ("lists/modules.list", "lists/modules-extra.list")


def check_inputs(inputs: Mapping[str, Path], root: Path) -> None:
    """Check config, lists and patches.

    Args:
        inputs: Name in the build context to file.
        root: The project's folder; errors name files relative to it.

    Raises:
        InputError: The first thing that is wrong, with file and line.
    """
    with as_input_error(inputs, root):
        for name, path in inputs.items():
            folder = name.split("/")[0]
            if folder == "config":
                check_config(_read(path), name)
            elif folder == "patches":
                content = _read(path)
                check_patch(content, name)
                read_limits(content, name)
            elif name.startswith("lists/firmware"):
                parse_list(_read(path), name, FIRMWARE)
        main, extra = (parse_list(_read(inputs[name]), name) for name in MODULE_LISTS)
        check_disjoint(main, extra)


@contextmanager
def as_input_error(inputs: Mapping[str, Path], root: Path) -> Iterator[None]:
    """Turn a stage's error into one of the host, with the project's own file names."""
    try:
        yield
    except StageError as error:
        where = inputs.get(error.where or "", None)
        raise InputError(
            error.what,
            hint=error.hint,
            where=within(where, root) if where else error.where,
            line=error.line,
            details=error.details,
        ) from error


def within(path: Path, root: Path) -> Path:
    """A path as a message has it: relative to the project where it is inside it."""
    return path.relative_to(root) if path.is_relative_to(root) else path


def no_file(path: Path, hint: str) -> InputError:
    """What is wrong where a project needs a file and has none that can be read."""
    if path.is_symlink() and not path.exists():
        what = f"it is a link to {path.readlink()}, which is not there"
    elif path.is_dir():
        what = "it is a folder, and no file"
    elif path.exists():
        what = "it is no file: a pipe, or a device"
    else:
        return InputError("there is no such file", where=path, hint=hint)
    return InputError(what, where=path, hint=f"put a file there, or take it away ({hint})")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "see that it is a file that you may read"
        raise InputError(f"cannot be read: {error.strerror}", where=path, hint=hint) from error
