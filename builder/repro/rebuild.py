"""The second build: from the same inputs, apart from `dist`, and with nothing else in a cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder import release
from builder.build import build
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.errors import InputError, InterruptedBuild, RoskError, VerifyError
from builder.project import Project
from builder.release import describe
from builder.repro.model import REPORT
from builder.repro.preconditions import BUILD_FIRST
from builder.settings import Cache
from builder.view import View


def second_project(project: Project, dist: Path, scope: str, *, toolchain: bool) -> Project:
    """The project with a release folder, image names and caches of its own; none of that goes into the release."""
    settings = project.settings
    suffix = project.localversion.removeprefix("-")
    own: dict[str, Any] = {"org": scope, "suffix": suffix, "flavours": {}, "cache": Cache()}
    if toolchain:
        # Debian's packages are taken anew when this word is a new one.
        word = f"{settings.toolchain.as_of} {scope}".strip()
        own["toolchain"] = settings.toolchain.model_copy(update={"as_of": word})
    return replace(project, dist=dist, flavour=None, settings=settings.model_copy(update=own))


def snapshot(dist: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Hold on to the files of a release, which another build may replace meanwhile.

    Raises:
        InputError: A file is not the one that the manifest tells of.
    """
    folder.mkdir()
    for name, wanted in manifest["outputs"].items():
        path = dist / name
        if not path.is_file() or describe(path) != wanted:
            raise InputError("this is not the file that was built", where=path, hint=BUILD_FIRST)
        release.take_over(path, folder / path.name)


def link_all(folder: Path, target: Path) -> None:
    """Make a folder of the files of another, by hard links where the file system has them."""
    target.mkdir(parents=True)
    for path in folder.iterdir():
        release.take_over(path, target / path.name)


def build_again(
    project: Project, engine: Docker, base: BaseImage, scope: str, view: View, *, report: Path
) -> Mapping[str, Any]:
    """The manifest of the second build."""
    try:
        with view:
            return build(project, engine, base, view=view, command=("rosk", "repro"), scope=scope, fresh=True).manifest
    except InterruptedBuild as error:
        error.hint = "nothing was changed; the proof starts from nothing when it is run again"
        raise
    except RoskError as error:
        with suppress(OSError):
            shutil.copyfile(project.dist / "build.log", report)
        error.hint = error.hint.replace("dist/build.log", f"dist/{REPORT}")
        if isinstance(error, VerifyError):  # what it names is gone with the rest of the second build
            error.hint = f"this is of the second build: its log is in dist/{REPORT}; `rosk verify` looks at the first"
        raise


def keep(
    folder: Path,
    project: Project,
    second: Path,
    archives: Path,
    manifest: Mapping[str, Any],
    again: Mapping[str, Any],
) -> None:
    """Copy what the second build made to `folder`, under the names that the project gives it."""
    with release.output_errors(folder):
        shutil.copytree(second / "kernel", folder / "kernel")
        shutil.copyfile(second / "build.log", folder / "build.log")
        images = dict(zip(manifest["images"], again["images"].values(), strict=True))
        named = {**again, "images": images, "settings": manifest["settings"]}
        (folder / "manifest.json").write_text(json.dumps(named, indent=1) + "\n")
        if archives.exists():
            shutil.copytree(archives, folder / "images")
