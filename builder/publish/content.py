"""Content by digest: blobs that stay where they are on disk, and the manifests that name them.

Source: the OCI image specification 1.1 (`descriptor.md`, `manifest.md`, `image-index.md`, `image-layout.md`). What
comes from an archive or a folder is not believed: every blob has to be what its digest says.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from builder.errors import InputError
from builder.tarmember import TarMember

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
LARGEST_JSON = 4 << 20
"""Bytes of a manifest that every registry takes (distribution-spec, "Pushing Manifests")."""
_DEEPEST = 4
_PIECE = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """What a manifest says of other content (`descriptor.md`)."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            found["platform"] = dict(self.platform)
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found


def read_descriptor(value: Any) -> Descriptor:
    """A descriptor of a manifest.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, dict):
        raise ValueError("an entry is no object")
    size, digest = value.get("size"), value.get("digest")
    if not isinstance(size, int) or size < 0 or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"an entry has no good digest and size: {str(digest)[:80]}")
    return Descriptor(
        media_type=str(value.get("mediaType", "")),
        digest=digest,
        size=size,
        annotations=_texts(value.get("annotations")),
        platform=_texts(value.get("platform")),
        artifact_type=str(value.get("artifactType") or ""),
    )


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(each) for key, each in value.items()} if isinstance(value, dict) else {}


@dataclass(frozen=True, kw_only=True)
class Blob:
    """Content that can be read again and again: a part of a file, or bytes.

    Attributes:
        file: Where it is, `offset` bytes from the start; None when `data` has it.
    """

    digest: str
    size: int
    file: Path | None = None
    offset: int = 0
    data: bytes = b""

    def open(self, skip: int = 0) -> Iterator[bytes]:
        """Its bytes in pieces, from a place on.

        Raises:
            OSError: The file is gone, or shorter than it was.
        """
        if self.file is None:
            yield self.data[skip:]
            return
        with self.file.open("rb") as file:
            file.seek(self.offset + skip)
            left = self.size - skip
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise OSError(f"{self.file} is shorter than it was")
                left -= len(piece)
                yield piece

    def read(self) -> bytes:
        return b"".join(self.open())


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse_json(data: bytes | str) -> Any:
    """JSON that anybody may have written.

    Raises:
        ValueError: It is none, or nested more deeply than can be read.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def compact(document: Mapping[str, Any]) -> bytes:
    """A document as bytes, the same ones for the same document."""
    return json.dumps(document, separators=(",", ":")).encode()


class Store:
    """Blobs by digest."""

    def __init__(self) -> None:
        self._blobs: dict[str, Blob] = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._blobs

    def add(self, blob: Blob) -> None:
        """Add what the caller knows to be right."""
        self._blobs.setdefault(blob.digest, blob)

    def add_bytes(self, data: bytes, media_type: str) -> Descriptor:
        """Add a small blob, and describe it."""
        blob = Blob(digest=digest_of(data), size=len(data), data=data)
        self.add(blob)
        return Descriptor(media_type=media_type, digest=blob.digest, size=blob.size)

    def blob(self, digest: str) -> Blob:
        """A blob.

        Raises:
            LookupError: It is not there.
        """
        return self._blobs[digest]

    def document(self, digest: str) -> dict[str, Any]:
        """A manifest, an index or a config.

        Raises:
            LookupError: It is not there.
            ValueError: It is no JSON object, or too large for one of these.
        """
        blob = self.blob(digest)
        if blob.size > LARGEST_JSON:
            raise ValueError(f"{digest} is too large for a manifest")
        found = parse_json(blob.read())
        if not isinstance(found, dict):
            raise ValueError(f"{digest} is no JSON object")
        return found


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that a reference needs: blobs, then manifests, each after those that it names."""

    blobs: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]


def reachable(store: Store, root: Descriptor) -> Content:
    """What a manifest or an index leads to, itself included.

    Raises:
        ValueError, LookupError: Something of it is missing or not right.
    """
    blobs: dict[str, Descriptor] = {}
    manifests: dict[str, Descriptor] = {}

    def visit(descriptor: Descriptor, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"{root.digest} is nested too deeply")
        document = store.document(descriptor.digest)
        if descriptor.media_type in INDEXES:
            for entry in document.get("manifests") or ():
                visit(read_descriptor(entry), depth + 1)
        elif descriptor.media_type in MANIFESTS:
            for entry in (document["config"], *(document.get("layers") or ())):
                found = read_descriptor(entry)
                if store.blob(found.digest).size != found.size:
                    raise ValueError(f"{found.digest} has another size than its manifest says")
                blobs.setdefault(found.digest, found)
        else:
            raise ValueError(f"{descriptor.digest} is of an unknown kind: {descriptor.media_type[:80]!r}")
        manifests.setdefault(descriptor.digest, descriptor)

    visit(root, 0)
    return Content(blobs=tuple(blobs.values()), manifests=tuple(manifests.values()))


def with_referrer(index: bytes | None, descriptor: Descriptor) -> bytes | None:
    """The index of what is attached to something, with one thing more (distribution-spec, "Referrers Tag Schema").

    Args:
        index: As it is; None when there is none yet.

    Returns:
        The new index; None when the old one has it already.

    Raises:
        ValueError: The old one is no index.
    """
    document = parse_json(index) if index else {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    listed = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the tag for what is attached stands for something else")
    if descriptor.digest in {read_descriptor(each).digest for each in listed}:
        return None
    return compact({**document, "manifests": [*listed, descriptor.as_json()]})


_DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class SavedImage:
    """An image out of an engine.

    Attributes:
        manifest: Its manifest; `platform` is that of its config.
        digests: Of its config, its manifest and its indexes: by one of them an engine knows it.
    """

    manifest: Descriptor
    digests: frozenset[str]


def read_archive(archive: Path, store: Store) -> SavedImage:
    """Take the one image of an archive of `docker save` into a store; the archive has to stay where it is.

    Raises:
        InputError: It is no such archive, a damaged one, or one of several images.
    """
    try:
        with tarfile.open(archive, "r:", tarinfo=TarMember) as tar:
            members = {each.name.removeprefix("./"): each for each in tar if each.isreg()}
            if "index.json" not in members:
                raise ValueError("it is in no OCI layout")
            held = Store()
            for name, member in members.items():
                if match := re.fullmatch(r"blobs/sha256/([0-9a-f]{64})", name):
                    content = tar.extractfile(member)
                    assert content is not None
                    _check(content, f"sha256:{match[1]}")
                    place = {"file": archive, "offset": member.offset_data}
                    held.add(Blob(digest=f"sha256:{match[1]}", size=member.size, **place))  # type: ignore[arg-type]
            index = tar.extractfile(members["index.json"])
            assert index is not None
            document = json.loads(index.read(LARGEST_JSON))
        saved = _the_image(held, document)
        content_of = reachable(held, saved.manifest)
        for descriptor in (*content_of.blobs, *content_of.manifests):
            store.add(held.blob(descriptor.digest))
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        raise InputError(f"no image can be read of it: {said}", where=archive, hint="save the image again") from error
    return saved


def _the_image(store: Store, document: dict[str, Any]) -> SavedImage:
    """The image that an archive's index leads to; attestations and platforms that are not there are left out."""
    digests: list[str] = []
    for _ in range(_DEEPEST):
        found = {
            each.digest: each
            for each in map(read_descriptor, document["manifests"])
            if "vnd.docker.reference.type" not in each.annotations and each.digest in store
        }
        if len(found) != 1:
            raise ValueError(f"it has {len(found)} images")
        (descriptor,) = found.values()
        digests.append(descriptor.digest)
        document = store.document(descriptor.digest)
        if "manifests" not in document:
            break
    config = store.document(document["config"]["digest"])
    names = ("architecture", "os", "variant")
    platform = {name: str(config[name]) for name in names if config.get(name)}
    manifest = Descriptor(
        media_type=str(document.get("mediaType") or descriptor.media_type),
        digest=descriptor.digest,
        size=descriptor.size,
        platform=platform,
    )
    return SavedImage(manifest=manifest, digests=frozenset([*digests, document["config"]["digest"]]))


def read_layout(folder: Path, store: Store) -> dict[str, Descriptor]:
    """Take an OCI image layout into a store.

    Returns:
        What its `index.json` names, by name (`acme/os-kernel:6.12.64-acme`), and what has none, by digest.

    Raises:
        InputError: It is none, or something in it is missing or damaged.
    """
    try:
        layout = _small_json(folder / "oci-layout")
        if not str(layout["imageLayoutVersion"]).startswith("1."):
            raise ValueError(f"its version is {layout['imageLayoutVersion']}")
        index = _small_json(folder / "index.json")
        named = {each.annotations.get(REF_NAME, each.digest): each for each in map(read_descriptor, index["manifests"])}
        for descriptor in named.values():
            _take(folder, store, descriptor, 0)
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        hint = "name a folder that `rosk publish --to oci:FOLDER` wrote, whole"
        raise InputError(f"it is no whole OCI layout: {said}", where=folder, hint=hint) from error
    return named


def _take(folder: Path, store: Store, descriptor: Descriptor, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if descriptor.digest in store:
        return
    file = folder / "blobs" / descriptor.digest.replace(":", "/")
    if _size(file) != descriptor.size:
        raise ValueError(f"{descriptor.digest} has another size than its manifest says")
    with file.open("rb") as opened:
        _check(opened, descriptor.digest)
    store.add(Blob(digest=descriptor.digest, size=descriptor.size, file=file))
    if descriptor.media_type not in (*INDEXES, *MANIFESTS):
        return
    document = store.document(descriptor.digest)
    entries = document.get("manifests") or [document["config"], *(document.get("layers") or ())]
    for entry in entries:
        _take(folder, store, read_descriptor(entry), depth + 1)


def _size(file: Path) -> int:
    """The size of a file of a layout: of a pipe or a device, and through a link, there may be no end to read.

    Raises:
        ValueError: It is no regular file.
    """
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{file.name} is no regular file")
    return found.st_size


def _small_json(file: Path) -> Any:
    if _size(file) > LARGEST_JSON:
        raise ValueError(f"{file.name} is larger than any")
    return parse_json(file.read_bytes())


def _check(content: IO[bytes], digest: str) -> None:
    found = hashlib.sha256()
    while piece := content.read(_PIECE):
        found.update(piece)
    if f"sha256:{found.hexdigest()}" != digest:
        raise ValueError(f"{digest} is not what its name says")
