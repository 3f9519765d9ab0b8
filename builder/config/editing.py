"""`rosk config edit`: kconfig's own menus, in the toolchain's container on the user's terminal."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.config.ask import DOCKERFILE, ConfigOptions, console, find_file, shown
from builder.config.setting import file_diff, write_text
from builder.engine.containers import run_container
from builder.errors import BuildError, InputError
from builder.files import locked
from builder.inputs.fetch import default_cache
from builder.project import Project
from builder.question import questioner
from builder.stages.common import StageError
from builder.stages.dotconfig import check_config
from builder.verify.model import count

MENUS = ("menuconfig", "nconfig")
_SHOWN = 40
_IN, _OUT = "/rosk-in", "/rosk-out"


def run_edit(options: ConfigOptions, *, fragment: str | None = None, menu: str = "menuconfig") -> bool:
    """Edit the project's config in menus; whether it changed.

    The file keeps its form, its order and its comments. What another file of the project sets is not changed by it.

    Args:
        fragment: Write what changes into this fragment of the settings.
        menu: One of `MENUS`.

    Raises:
        InputError: There is no terminal, or the file was changed by somebody else meanwhile.
        BuildError: The menus failed.
        RoskError: The engine or the source cannot be had.
    """
    if menu not in MENUS:
        raise InputError(f"there are no menus {menu!r}", hint=f"use one of {', '.join(MENUS)}")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(
            "the menus need a terminal", hint="run it in one; `rosk config set` changes options without any"
        )
    project = options.project()
    file = find_file(project, fragment, flavour=options.flavour)
    before = project.inputs[file].read_bytes().decode()  # with its own line ends
    result = _in_container(project, options, file, menu)
    changed, text = result["changed"], result.get("text")
    if text is None or text == before:
        console().print(f"nothing changed: {shown(project, file)} is as it was", markup=False)
        return False
    try:
        check_config(text, file)
    except StageError as error:
        raise BuildError(f"the menus left no config: {error}", hint="report it: this is an error in rosk") from error
    if project.inputs[file].read_bytes().decode() != before:
        raise InputError("it was changed while the menus were open", where=shown(project, file), hint="edit it again")
    write_text(project, file, text)
    _print(project, file, before, text, changed, result.get("left", ()))
    return True


def _in_container(project: Project, options: ConfigOptions, file: str, menu: str) -> dict[str, Any]:
    """What the menus left; see `builder.stages.configedit`."""
    tag = f"rosk-config:{hashlib.sha256(str(project.root).encode()).hexdigest()[:12]}"
    lock = default_cache() / "config.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="rosk-config-") as temp:
        given, out = Path(temp, "in"), Path(temp, "out")
        out.mkdir()
        (given / "fragments").mkdir(parents=True)
        for name, path in project.inputs.items():
            if name.startswith("config/"):
                shutil.copyfile(path, given / name.removeprefix("config/"))
        bare = replace(project, policies=())
        with locked(lock), questioner(bare, options.asking, dockerfiles=(DOCKERFILE,)) as asked:
            asked.image("config-menu", tag)
            arguments = asked.arguments
        argv = ["python3", "-m", "builder.stages.configedit", "--tree", "/usr/src/linux", "--obj", "/obj"]
        argv += [
            "--config",
            _IN,
            "--work",
            "/tmp/config",
            "--out",
            _OUT,
            "--file",
            file.removeprefix("config/"),
            "--menu",
            menu,
        ]
        argv += ["--arch", project.arch.kbuild, "--srcarch", project.arch.srcarch]
        argv += [f"--localversion={project.localversion}", f"--cross-compile={arguments.get('CROSS_COMPILE', '')}"]
        argv += ["--compiler", arguments.get("COMPILER", "gcc")]
        argv.append(f"--make-variables={arguments.get('MAKE_VARIABLES', '')}")
        ended = run_container(tag, argv, mounts={given: _IN}, writable={out: _OUT}, env=_terminal(), tty=True)
        told = out / "result.json"
        if ended.code != 0 or not told.is_file():
            raise BuildError(
                f"{menu} ended with exit code {ended.code}",
                hint="what it says is above; the config is as it was",
            )
        found: dict[str, Any] = json.loads(told.read_text())
        return found


def _terminal() -> dict[str, str]:
    return {"TERM": os.environ.get("TERM", "linux"), "LANG": "C.UTF-8"}


def _print(
    project: Project, file: str, before: str, after: str, changed: Mapping[str, list[str]], left: list[str]
) -> None:
    out = console()
    name = shown(project, file)
    for line in file_diff(before, after, name):
        out.print(line, markup=False)
    for option, (old, new) in list(changed.items())[:_SHOWN]:
        out.print(f"CONFIG_{option}: {old} → {new}", markup=False)
    if len(changed) > _SHOWN:
        out.print(f"and {len(changed) - _SHOWN} more")
    for line in left:
        out.print(f"warning: {line}: another file of the project sets it", markup=False)
    out.print(f"\n{name} is written, {count(len(changed), 'option')} changed", markup=False)
