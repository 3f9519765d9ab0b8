"""The build context: the one folder that BuildKit is shown, made anew for each build."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from builder.errors import InputError
from builder.project import Project
from builder.stages.policy import FILE as POLICIES

_PACKAGE = Path(__file__).resolve().parent


def dockerfiles() -> Path:
    """The folder `dockerfiles/`: beside the package in a checkout, inside it in an installed wheel."""
    for folder in (_PACKAGE / "dockerfiles", _PACKAGE.parent / "dockerfiles"):
        if (folder / "kernel.Dockerfile").is_file():
            return folder
    raise InputError("rosk's Dockerfiles are missing", where=_PACKAGE, hint="install rosk again")


def without_secret(dockerfile: str, name: str) -> str:
    """A Dockerfile whose steps do not take this secret.

    BuildKit (0.13) looks for the result of a step that takes one by the content of its whole root too, for which it
    reads every file of that: a secret counts as a mount of its first input (`getMountDeps` in
    solver/llbsolver/ops/exec.go).
    """
    return re.sub(rf"^    --mount=type=secret,id={name},.*\n", "", dockerfile, flags=re.M)


def write_context(project: Project, folder: Path) -> None:
    """Fill `folder` with all that the stages copy: their programs, the image scripts and the project's inputs.

    Every file is written anew, so that its time is new too: BuildKit takes a file of the same size and time for
    the one that it has.
    """
    for name in ("config/fragments", "lists", "patches", "hooks", "signing", "modules", "images", "stages"):
        (folder / name).mkdir(parents=True)
    for script in (dockerfiles() / "images").iterdir():
        shutil.copyfile(script, folder / "images" / script.name)
    for program in (_PACKAGE / "stages").glob("*.py"):
        shutil.copyfile(program, folder / "stages" / program.name)
    for name in ("firmware.list", "firmware-extra.list"):
        (folder / "lists" / name).touch()
    for name, path in project.inputs.items():
        shutil.copyfile(path, folder / name)
        if name.startswith("hooks/"):
            (folder / name).chmod(0o755)
    if project.policies:
        (folder / POLICIES).write_text(json.dumps([policy.as_json() for policy in project.policies], indent=1))
