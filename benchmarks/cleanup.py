"""Removes what a run has made in the engine; what anybody else has there stays."""

from __future__ import annotations

from benchmarks.engine import BuildCache, docker, remove_container
from benchmarks.workspace import Workspace


def mounts(work: Workspace, cache: BuildCache) -> set[str]:
    """The cache mounts of all scopes of a run."""
    ends = tuple(f"-{scope}" for scope in work.state.scopes)
    return {record.mount for record in cache.records() if record.mount.endswith(ends)}


def clean_up(work: Workspace) -> None:
    """Remove the container, the images and the cache mounts of a run."""
    remove_container(work.container)
    tags = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    for tag in tags:
        if tag == work.image or tag.startswith(f"{work.org}/"):
            docker("image", "rm", tag)
    cache = BuildCache()
    for mount in mounts(work, cache):
        cache.forget_mount(mount)
