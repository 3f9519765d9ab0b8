"""The checks of a project's files that need no engine: seconds before a build, not minutes into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.errors import InputError
from builder.stages.common import StageError
from builder.stages.dotconfig import check_config
from builder.stages.lists import check_lists, parse_list
from builder.stages.patchfile import check_patch


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
                check_config(_text(path), name)
            elif folder == "patches":
                check_patch(path.read_bytes(), name)
            elif name.startswith("lists/firmware"):
                parse_list(_text(path), name)
        check_lists(_text(inputs["lists/modules.list"]), _text(inputs["lists/modules-extra.list"]))


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
            where=where.relative_to(root) if where and where.is_relative_to(root) else where or error.where,
            line=error.line,
            details=error.details,
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise InputError("this is not a text file (UTF-8)", where=path, hint="is it the right file?") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
