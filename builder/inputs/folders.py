"""The folders that BuildKit is given beside the build context: the kernel's source and the firmware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from builder.errors import InputError
from builder.inputs import kernelorg
from builder.inputs.fetch import default_cache, fetch
from builder.inputs.local import local_archive, staged, tree_context
from builder.process import run
from builder.project import Project
from builder.release import human_size


def source_folder(project: Project, say: Callable[[str], None]) -> tuple[Path | None, int]:
    """The folder with the source archive or the source tree, fetched or prepared when it is not there yet.

    Returns:
        The folder (None when a stage fetches the source itself) and, for a tree, its date in seconds since 1970.

    Raises:
        RoskError: The source is missing, cannot be fetched, or is not what its checksum says.
    """
    source, cache = project.source, default_cache()
    if source.kind == "debian":
        return None, 0
    if source.kind == "tree":
        assert source.path is not None
        tree = tree_context(source.path, cache=cache)
        return tree.folder, tree.epoch
    if source.path is not None:
        return local_archive(source.path, sha256=source.sha256, cache=cache).parent, 0
    assert source.version is not None
    wanted = project.settings.kernel
    found = kernelorg.resolve(
        source.version,
        sha256=source.sha256,
        mirrors=wanted.mirrors,
        keys=wanted.signing_keys,
        keyring=project.root / wanted.keyring if wanted.keyring else None,
        cache=cache,
    )
    name = kernelorg.tarball_name(source.version)
    say(f"source: {name}, SHA-256 {found.sha256}")
    return fetch(found.urls, sha256=found.sha256, cache=cache, name=name, on_progress=_quarters(say)).parent, 0


def _quarters(say: Callable[[str], None]) -> Callable[[int, int | None], None]:
    """Says how far a download is, at each quarter."""
    told = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal told
        quarter = 4 * done // total if total else 0
        if quarter > told:
            told = quarter
            say(f"source: {25 * quarter} % of {human_size(total or 0)}")

    return progress


def firmware_folder(project: Project) -> tuple[Path | None, str]:
    """The folder with the linux-firmware archive, or with the firmware itself.

    Returns:
        The folder (None for other firmware sources), and the git commit of a firmware folder that has one.

    Raises:
        InputError: It is not there.
    """
    settings = project.settings.firmware
    if settings.path is None:
        return None, ""
    path = project.root / settings.path
    if settings.source == "tarball":
        return local_archive(path, sha256=None, cache=default_cache()).parent, ""
    if not path.is_dir():
        raise InputError("there is no such folder", where=path, hint="firmware.path names a linux-firmware folder")
    # Staged like a source tree: a clone's .git has gigabytes that no stage reads.
    head = run(["git", "-C", path, "rev-parse", "HEAD"], check=False).stdout.strip() if (path / ".git").exists() else ""
    return staged(path, cache=default_cache()), head
