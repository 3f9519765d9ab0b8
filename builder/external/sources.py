"""Gets the sources of a project's external modules."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from builder.errors import InputError
from builder.external.git import commit_archive
from builder.external.model import ModuleSource
from builder.inputs.fetch import default_cache, fetch
from builder.inputs.local import local_archive, staged
from builder.process import run
from builder.project import Project
from builder.settings.external import ExternalModule


def module_sources(project: Project, say: Callable[[str], None]) -> tuple[ModuleSource, ...]:
    """The sources of all external modules, in the order of the settings.

    Raises:
        RoskError: One is missing, cannot be fetched, or is not what it is pinned to.
    """
    return tuple(_source(project, wanted, say) for wanted in project.settings.modules)


def _source(project: Project, wanted: ExternalModule, say: Callable[[str], None]) -> ModuleSource:
    cache = default_cache()
    path = project.root / wanted.path if wanted.path else None
    if wanted.source == "folder":
        assert path is not None
        return _folder(wanted, path, cache)
    if wanted.source == "git":
        assert wanted.commit is not None
        say(f"module {wanted.name}: commit {wanted.commit[:12]} of {wanted.url or path}")
        repository = path or str(wanted.url)
        archive = commit_archive(wanted.name, repository, wanted.commit, cache=cache, submodules=wanted.submodules)
        origin = str(wanted.url or path)
    elif path is not None:
        archive, origin = local_archive(path, sha256=wanted.sha256, cache=cache), str(path)
    else:
        assert wanted.url is not None and wanted.sha256 is not None
        name = PurePosixPath(urlsplit(wanted.url).path).name or f"{wanted.name}.tar"
        archive, origin = fetch([wanted.url], sha256=wanted.sha256, cache=cache, name=name), wanted.url
    return ModuleSource(
        wanted=wanted,
        folder=archive.parent,
        archive=True,
        origin=origin,
        revision=wanted.commit or "",
        sha256=archive.parent.name,
    )


def _folder(wanted: ExternalModule, path: Path, cache: Path) -> ModuleSource:
    if not path.is_dir():
        hint = f"the path of the module {wanted.name} names a folder"
        raise InputError("there is no such folder", where=path, hint=hint)
    head = run(["git", "-C", path, "rev-parse", "HEAD"], check=False).stdout.strip() if (path / ".git").exists() else ""
    folder = staged(path, cache=cache)
    return ModuleSource(
        wanted=wanted, folder=folder, archive=False, origin=str(path), revision=head, sha256=folder_sha256(folder)
    )


def folder_sha256(folder: Path) -> str:
    """A checksum over all files and links below a folder: names, contents, and which can be executed."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=os.fsencode):
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            found.update(b"%s\0link %s\n" % (name, os.fsencode(path.readlink())))
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest().encode()
            found.update(b"%s\0%o %s\n" % (name, path.stat().st_mode & 0o100, content))
    return found.hexdigest()
