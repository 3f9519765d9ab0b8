"""See that a cache which was written can be read: BuildKit writes configs that it does not read again.

Looked at are caches in a folder and in a registry, not those in other places (`type=s3`, `type=gha`). Whatever fails
here leaves the cache as BuildKit wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from builder.cacheconfig import LARGEST, find_config, trimmed, with_config
from builder.cachefolder import entries, name_of, rewrite
from builder.cachespec import keys_of
from builder.errors import RoskError
from builder.inputs.fetch import Patience
from builder.inputs.store import write_atomically
from builder.project import Project
from builder.publish.content import Blob, Descriptor, digest_of, read_descriptor
from builder.publish.credentials import find_credentials
from builder.publish.http import Failure, Http
from builder.publish.registry import Manifest, RegistryClient
from builder.publish.spots import Spots, registry

Say = Callable[[str], None]
_MOST = 64 << 20
"""Bytes of a config that is looked at: one that is larger has no reason to be so."""
_PATIENCE = Patience(attempts=1, connect_timeout=5, read_timeout=30)
_PARTS = re.compile(r"(?:([^/]*[.:][^/]*|localhost)/)?(.+?)(?::(\w[\w.-]*))?")
_HUB = "docker.io"
_BAD = (Failure, RoskError, OSError, ValueError, LookupError, TypeError, AttributeError)


class Place(Protocol):
    """Where a cache is."""

    name: str

    def manifest(self) -> Manifest | None:
        """What its name stands for; None when there is no cache."""

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob of it, as it is there."""

    def replace(self, old: Manifest, new: bytes, config: Blob) -> None:
        """Have the name stand for a new manifest; not where it no longer stands for the old one."""


def keep_readable(written: Iterable[str], project: Project, *, say: Say, warn: Say, largest: int = LARGEST) -> None:
    """Make the configs of caches small that are too large to be read.

    Args:
        written: Caches that a solve has written, in BuildKit's form; a solve that ignores errors may not have.
        project: Its settings say how to talk to a registry.
        say: Told what was done, and what could not be looked at.
        warn: Told of a cache that stays too large.
        largest: Bytes of a config that is left as it is.
    """
    for form in written:
        place = None
        try:
            if (place := _place(keys_of(form), project)) is not None:
                _keep_readable(place, say, warn, largest)
        except _BAD as error:
            say(f"cannot look at the cache {place.name if place else form}: {error}")


def _keep_readable(place: Place, say: Say, warn: Say, largest: int) -> None:
    manifest = place.manifest()
    config = find_config(manifest.data) if manifest else None
    if manifest is None or config is None or config.size <= largest:
        return
    too_large = f"the cache {place.name} is too large to be read: {config.size} bytes of keys, {LARGEST} at most"
    if config.size > _MOST:
        warn(too_large)
        return
    try:
        data = place.read(config)
        if digest_of(data) != config.digest:
            raise ValueError("its config is not what its digest says")
        small = trimmed(data)
        blob = Blob(digest=digest_of(small), size=len(small), data=small)
        described = Descriptor(media_type=config.media_type, digest=blob.digest, size=blob.size)
        place.replace(manifest, with_config(manifest.data, described), blob)
    except _BAD as error:
        warn(f"{too_large}, and it cannot be made smaller: {error}")
        return
    say(f"the keys of the cache {place.name} were {config.size} bytes; those of other builds are left out: {blob.size}")
    if blob.size > LARGEST:
        warn(too_large)


def _place(keys: dict[str, str], project: Project) -> Place | None:
    if keys.get("type") == "local" and "dest" in keys:
        return Folder(Path(keys["dest"]), keys.get("tag", "latest"))
    if keys.get("type") == "registry" and "ref" in keys:
        return InRegistry(keys["ref"], project)
    return None


class Folder:
    """A cache in a folder, as `type=local` writes it: an OCI image layout, whose names are tags alone."""

    def __init__(self, folder: Path, tag: str) -> None:
        self.name = str(folder)
        self._folder = folder
        self._tag = tag

    def manifest(self) -> Manifest | None:
        for each in map(read_descriptor, self._named(entries(self._folder))):
            return Manifest(digest=each.digest, media_type=each.media_type, data=self.read(each))
        return None

    def _named(self, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in listed if name_of(each) == self._tag]

    def read(self, descriptor: Descriptor) -> bytes:
        return self._path(descriptor.digest).read_bytes()

    def replace(self, old: Manifest, new: bytes, config: Blob) -> None:
        write_atomically(self._path(config.digest), config.read())
        write_atomically(self._path(digest_of(new)), new)

        def change(listed: list[dict[str, Any]]) -> None:
            for each in self._named(listed):
                if each["digest"] == old.digest:  # another build may have written its own meanwhile
                    each.update(digest=digest_of(new), size=len(new))

        rewrite(self._folder, change)

    def _path(self, digest: str) -> Path:
        return self._folder / "blobs" / digest.replace(":", "/")


class InRegistry:
    """A cache in a registry."""

    def __init__(self, reference: str, project: Project) -> None:
        found = _PARTS.fullmatch(reference)
        if found is None:
            raise ValueError("it is no reference")
        self.name = reference
        self._tag = found[3] or "latest"
        host, self._repository = found[1] or _HUB, found[2]
        if host == _HUB and "/" not in self._repository:
            self._repository = f"library/{self._repository}"
        known = registry(host, project.settings).model_copy(update={"prefix": ""})
        http = Http(ca=Spots(root=project.root).ca(known), patience=_PATIENCE)
        self._client = RegistryClient(known, http, credentials=partial(find_credentials, host))

    def manifest(self) -> Manifest | None:
        self._client.open()
        return self._client.tagged(self._repository, self._tag)

    def read(self, descriptor: Descriptor) -> bytes:
        return b"".join(self._client.read_blob(self._repository, descriptor))

    def replace(self, old: Manifest, new: bytes, config: Blob) -> None:
        self._client.put_blob(self._repository, config, lambda _bytes: None)
        now = self._client.tagged(self._repository, self._tag)
        if now is not None and now.digest == old.digest:  # another build may have written its own meanwhile
            self._client.put_manifest(self._repository, self._tag, old.media_type, new)
