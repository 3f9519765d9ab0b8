"""What stages use of newer Pythons, for the one of an old Debian suite (3.9 in Debian 11).

In the build it is the module `sitecustomize`, which every Python imports as it starts (see the module `site`). What is
added does what the newer Python does, as far as the stages go.
"""

from __future__ import annotations

import builtins
import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

_dataclass: Callable[..., Any] = dataclasses.dataclass
_zip = builtins.zip


def dataclass(cls: type | None = None, *, kw_only: bool = False, **options: Any) -> Any:
    """`dataclasses.dataclass` with `kw_only` (3.10): fields with a default may come before fields without one."""

    def decorate(cls: type) -> Any:
        if kw_only:
            own = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - inspect.get_annotations came with 3.10
            cls.__annotations__ = {name: own[name] for name in sorted(own, key=lambda name: name in cls.__dict__)}
        return _dataclass(cls, **options)

    return decorate if cls is None else decorate(cls)


def strict_zip(*iterables: Any, strict: bool = False) -> Iterator[Any]:
    """`zip` with `strict` (3.10)."""
    if not strict:
        return _zip(*iterables)
    lists = [list(iterable) for iterable in iterables]
    if len({len(each) for each in lists}) > 1:
        raise ValueError("zip() arguments differ in length")
    return _zip(*lists)


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """`subprocess.Popen` with `process_group` (3.11)."""

    def __init__(self, *arguments: Any, process_group: int | None = None, **options: Any) -> None:
        if process_group is not None:
            options["preexec_fn"] = lambda: os.setpgid(0, process_group)
        super().__init__(*arguments, **options)


def hardlink_to(self: pathlib.Path, target: Any) -> None:
    """`Path.hardlink_to` (3.10)."""
    os.link(target, self)


def install() -> None:
    """Put all of it in its place."""
    dataclasses.dataclass = dataclass
    builtins.zip = strict_zip  # type: ignore[assignment,misc]
    subprocess.Popen = Popen  # type: ignore[misc]
    pathlib.Path.hardlink_to = hardlink_to  # type: ignore[method-assign]


if sys.version_info < (3, 11):  # noqa: UP036 - rosk itself needs 3.11, the stages run with the suite's
    install()
