"""What is looked at before a release is built again.

It has to be there and be what the project would build now. What of its config is known to make builds differ is told.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from builder.differ import short, unequal
from builder.engine.base import BaseImage
from builder.errors import InputError
from builder.external.sources import module_sources
from builder.project import Project
from builder.release import describe
from builder.signing.key import read_key
from builder.stages.dotconfig import config_values
from builder.stages.reproducible import findings, kernel_of

BUILD_FIRST = "run `rosk build` first"
_KEYS = {"release", "arch", "reproduce", "inputs", "settings", "source", "toolchain", "outputs", "images"}
_NO_MATTER = ("registries", "publish", "cache")
"""Settings that nothing in the release follows from."""


def read_manifest(project: Project) -> dict[str, Any]:
    """The manifest of the release in `dist`.

    Raises:
        InputError: There is none.
    """
    path = project.dist / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS:
            raise ValueError
    except FileNotFoundError:
        raise InputError("there is no release to compare with", where=project.dist, hint=BUILD_FIRST) from None
    except ValueError:
        raise InputError("this is no manifest of a release", where=path, hint=BUILD_FIRST) from None
    return manifest


def check_unchanged(project: Project, manifest: Mapping[str, Any]) -> None:
    """See that the release in `dist` is of this project as it is now.

    Raises:
        InputError: Its inputs were others; the details name them.
    """
    changes = list(_changes(project, manifest))
    if not changes:
        return
    words = [*manifest["reproduce"]]
    words[1:2] = ["repro"]
    raise InputError(
        "the project is not what the release in dist was built from",
        where=project.dist,
        hint=f"{BUILD_FIRST}; if only options of the command line differ, run `{shlex.join(words)}`",
        details=changes,
    )


def _changes(project: Project, manifest: Mapping[str, Any]) -> Iterator[str]:
    if manifest["arch"] != project.arch.name:
        yield f"the architecture was {manifest['arch']} and is {project.arch.name}"
    source = manifest["source"]
    if source["from"] != str(project.source) or project.source.sha256 not in (None, source["sha256"]):
        yield f"the source was {source['from']} and is {project.source}"
    then, now = manifest["inputs"], {name: describe(path) for name, path in project.inputs.items()}
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            change = "is new" if name not in then else "is gone" if name not in now else "has changed"
            yield f"{project.origin(name) or name} {change}"
    for key, value, other in unequal(manifest["settings"], project.settings.model_dump(mode="json")):
        if key.split(".")[0] not in _NO_MATTER:
            yield f"the setting {key} was {short(value)} and is {short(other)}"
    signing = read_key(project, warn=lambda _line: None)
    if manifest.get("signing") != (signing.as_json() if signing else None):
        yield "the key that signs the modules is another"
    modules = [source.as_json() for source in module_sources(project, lambda _line: None)]
    for was in manifest.get("modules", ()):
        if was not in modules:
            yield f"the source of the module {was['name']} has changed"


def check_base(base: BaseImage, manifest: Mapping[str, Any]) -> None:
    """See that the base image is the one that the release was built with.

    Raises:
        InputError: It is another.
    """
    if base.id != manifest["toolchain"]["base_digest"]:
        raise InputError(
            f"the base image {base.ref} is not the one that the release in dist was built with",
            hint=f"{BUILD_FIRST}, or compare across toolchains with `rosk repro --toolchain`",
        )


def check_keep(folder: Path | None) -> None:
    """See that a folder can receive the second build's files.

    Raises:
        InputError: There is something in it.
    """
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("this is no empty folder", where=folder, hint="give --keep a folder that is new or empty")


def known_causes(project: Project, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What of the release's config is known to make builds differ."""
    config = project.dist / "kernel" / "config"
    if not config.is_file():
        return ()
    values = config_values(config.read_bytes(), "config")
    return tuple(finding.what for finding in findings(values, kernel_of(manifest["release"])))
