"""Another kernel for a project: as a source to ask about, and as a change of its settings file, line by line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.errors import InputError
from builder.inputs.document import read_document
from builder.inputs.kernelorg import VERSION
from builder.project import SETTINGS_FILE, Project, Source, with_source
from builder.settings import load_settings

_SERIES = re.compile(r"[1-9]\d*\.\d+")
_LINE = r"(\s+{key}:\s*)(?:\"[^\"]*\"|'[^']*'|[^\s#\"']+)(\s*(?:#.*)?)"


def other_kernel(
    project: Project, version: str | None, *, tarball: Path | None = None, tree: Path | None = None
) -> tuple[Project, dict[str, str]]:
    """The project with another kernel, and the keys of the settings' kernel section that mean it.

    Args:
        version: A series of Debian's packages (`6.12`) where the project takes these, else a release of kernel.org.
        tarball, tree: An archive or a folder of this machine instead.

    Raises:
        InputError: None of them, or more than one, is given, it is no version, or too old for the compiler.
    """
    if sum(given is not None for given in (version, tarball, tree)) != 1:
        raise InputError("name one kernel", hint="give a VERSION, --tarball FILE or --tree FOLDER")
    for kind, path in (("tarball", tarball), ("tree", tree)):
        if path is not None:
            if not path.exists():
                raise InputError("there is no such file or folder", where=path, hint=f"--{kind} names the new kernel")
            source = Source(kind="archive" if kind == "tarball" else "tree", path=path.resolve())
            shown = os.path.relpath(path.resolve(), project.root)
            return with_source(project, source), {"source": kind, "path": shown}
    assert version is not None
    number = version.removeprefix("v")
    if project.settings.kernel.source == "debian" and _SERIES.fullmatch(number):
        source = Source(kind="debian", package=f"linux-source-{number}")
        return with_source(project, source), {"source": "debian", "version": number}
    if not VERSION.fullmatch(number):
        raise InputError(
            f"{version!r} is not a release of kernel.org",
            hint="give one such as 6.12.64, with Debian's source also a series such as 6.12; or --tarball, or --tree",
        )
    source = Source(kind="archive", version=number)
    return with_source(project, source), {"source": "kernel.org", "version": number}


def settings_with(root: Path, keys: Mapping[str, str]) -> str:
    """The text of a project's settings file with another kernel; all other lines are as they were.

    Args:
        keys: `source` and `version` or `path`; a checksum of the kernel before goes.

    Raises:
        InputError: The file is not written in a way that lines of it can be replaced.
    """
    path = root / SETTINGS_FILE
    lines = path.read_text().splitlines()
    places = read_document(path).lines
    gone = []
    for key in ("source", "version", "path", "sha256"):
        number = places.get(("kernel", key))
        if number is None:
            continue
        match = re.fullmatch(_LINE.format(key=key), lines[number - 1])
        if match is None:
            raise _by_hand(keys)
        if key in keys:
            lines[number - 1] = f"{match[1]}{_quoted(key, keys[key])}{match[2]}"
        else:
            gone.append(number - 1)
    first = places.get(("kernel",))
    if first is None:
        raise _by_hand(keys)
    new = [f"  {key}: {_quoted(key, value)}" for key, value in keys.items() if ("kernel", key) not in places]
    kept = [line for number, line in enumerate(lines) if number not in gone]
    kept[first:first] = new
    text = "\n".join([*kept, ""])
    _prove(text, keys)
    return text


def _prove(text: str, keys: Mapping[str, str]) -> None:
    with TemporaryDirectory(prefix="rosk-config-") as folder:
        file = Path(folder, "rosk.yaml")
        file.write_text(text)
        try:
            kernel = load_settings(file).kernel
        except InputError as error:
            raise _by_hand(keys) from error
    got = {"source": kernel.source, "version": kernel.version, "path": str(kernel.path) if kernel.path else None}
    if any(got[key] != value for key, value in keys.items()):
        raise _by_hand(keys)


def _quoted(key: str, value: str) -> str:
    return f'"{value}"' if key in ("version", "path") else value


def _by_hand(keys: Mapping[str, str]) -> InputError:
    written = ", ".join(f"kernel.{key}: {value}" for key, value in keys.items())
    return InputError(
        "the settings' kernel section is not one key a line, so that it is not edited",
        where=SETTINGS_FILE,
        hint=f"write {written} yourself",
    )
