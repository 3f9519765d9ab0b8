"""Reads an image out of an archive of `docker save`: its config, and the files that its layers add up to.

Both layouts are read: an OCI image layout (Docker Engine 25 and newer, containerd, buildx), and the older one with
`manifest.json` only. Source: the OCI image specification, `image-layout.md`, `manifest.md` and `layer.md`. The archive
is not believed: every blob is read by its digest and has to be what that says, and a path cannot leave the image.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from builder.errors import InputError
from builder.tarmember import TarMember

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_LINKS, _MOST_INDEXES = 40, 4
LIMIT = 32 << 30
"""Bytes of an archive, or of a layer, that no image of a release has."""
_JSON_LIMIT = 8 << 20
_PIECE = 1 << 20
# The last: JSON of another form than it should be, or nested without end.
_DAMAGE = (
    *(tarfile.TarError, OSError, EOFError, zlib.error, OverflowError),
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError),
)


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """What is at one path of an image.

    Attributes:
        kind: `file`, `folder`, `link` or `other`.
        mode: Its permissions.
        size: Bytes of a file.
        sha256: Of a file's content, hexadecimal; empty for everything else.
        link: Where a link leads.
    """

    kind: str
    mode: int
    size: int = 0
    sha256: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image.

    Attributes:
        digests: Of its config, its manifest and, where it has one, its index: by one of them an engine or a registry
            knows it (`sha256:…`).
        config: The config's content: `config.Env`, `architecture`, and so on.
        files: What is at each absolute path in the end.
    """

    digests: frozenset[str]
    config: Mapping[str, Any]
    files: Mapping[str, ImageFile]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its programs get."""
        settings = self.config.get("config")
        entries = settings.get("Env") if isinstance(settings, dict) else None
        return dict(entry.partition("=")[::2] for entry in entries or () if isinstance(entry, str))

    def find(self, path: str) -> ImageFile | None:
        """What is at an absolute path when links are followed."""
        for _ in range(_MOST_LINKS):
            for place in (*reversed(PurePosixPath(path).parents), PurePosixPath(path)):
                found = self.files.get(str(place))
                if found is not None and found.kind == "link":
                    goal = posixpath.join(place.parent, found.link, PurePosixPath(path).relative_to(place))
                    path = posixpath.normpath(goal)
                    break
            else:
                return self.files.get(path)
        return None


def read_image(archive: Path, *, take: Mapping[str, Path] | None = None) -> Image:
    """Read the one image of an archive.

    Args:
        archive: What `docker save` wrote of one image.
        take: Absolute paths whose content is copied to these files, where they are files of the image.

    Raises:
        InputError: It is no such archive, a damaged one, or one of several images.
    """
    try:
        with tarfile.open(archive, "r:", tarinfo=TarMember) as tar:
            return _Archive(tar).image(take or {})
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        raise InputError(f"no image can be read of it: {said}", where=archive, hint="save the image again") from error


class _Archive:
    """The files of an archive of `docker save`."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self.tar = tar
        self.members = {member.name.removeprefix("./"): member for member in _bounded(tar) if member.isreg()}

    def image(self, take: Mapping[str, Path]) -> Image:
        digests, config, layers = self._oci() if "index.json" in self.members else self._docker()
        tree = _Tree(take)
        for layer in layers:
            tree.apply(self._open(layer))
        return Image(digests=frozenset(digests), config=self._object(config), files=tree.files)

    def _oci(self) -> tuple[list[str], str, list[str]]:
        """Digests, the config's file and the layers' files of an OCI image layout."""
        document, digests = self._object("index.json"), list[str]()
        while "manifests" in document:
            # An index may list attestations beside the image, and other platforms, whose blobs are not there.
            listed = [
                each["digest"]
                for each in document["manifests"]
                if "vnd.docker.reference.type" not in (each.get("annotations") or {})
                and _blob(each["digest"]) in self.members
            ]
            if len(set(listed)) != 1 or len(digests) > _MOST_INDEXES:
                raise ValueError(f"it has {len(set(listed))} images")
            digests.append(listed[0])
            document = self._object(self._checked(listed[0]))
        config, layers = document["config"]["digest"], [layer["digest"] for layer in document["layers"]]
        return [*digests, config], self._checked(config), [self._checked(layer) for layer in layers]

    def _docker(self) -> tuple[list[str], str, list[str]]:
        """The same of the older layout, in which a config is named by its digest, and layers by something else."""
        (listed,) = self._document("manifest.json")
        digest = _copy(self._open(listed["Config"]))
        if PurePosixPath(listed["Config"]).name.removesuffix(".json") != digest:
            raise ValueError(f"{listed['Config']} is not what its name says")
        return [f"sha256:{digest}"], listed["Config"], list(listed["Layers"])

    def _checked(self, digest: str) -> str:
        """The file of a blob, which has to be what its digest says."""
        name = _blob(digest)
        if _copy(self._open(name)) != PurePosixPath(name).name:
            raise ValueError(f"{name} is not what its name says")
        return name

    def _open(self, name: str) -> IO[bytes]:
        content = self.tar.extractfile(self.members[name])
        assert content is not None
        return content

    def _object(self, name: str) -> dict[str, Any]:
        found = self._document(name)
        if not isinstance(found, dict):
            raise ValueError(f"{name} is no JSON object")
        return found

    def _document(self, name: str) -> Any:
        if self.members[name].size > _JSON_LIMIT:
            raise ValueError(f"{name} is too large")
        return json.load(self._open(name))


def _bounded(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of an archive; those that are sparse may pretend to any size."""
    size = 0
    for member in tar:
        size += member.size
        if size > LIMIT:
            raise ValueError(f"it unpacks to more than {LIMIT >> 30} GiB")
        yield member


def _blob(digest: str) -> str:
    """The file of a blob in an OCI image layout; only SHA-256 is read."""
    if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        raise ValueError(f"{digest[:80]!r} is no digest")
    return f"blobs/{digest.replace(':', '/')}"


class _Tree:
    """What layers add up to, the lowest first."""

    def __init__(self, take: Mapping[str, Path]) -> None:
        self.take = take
        self.files: dict[str, ImageFile] = {}

    def apply(self, blob: IO[bytes]) -> None:
        """Put one layer on those before: first what it takes away of them, then what it has."""
        own: dict[str, ImageFile] = {}
        gone: set[str] = set()
        emptied: set[str] = set()
        with _plain(blob) as content, tarfile.open(fileobj=content, mode="r:", tarinfo=TarMember) as layer:
            for member in _bounded(layer):
                path = _absolute(member.name)
                folder, name = posixpath.split(path)
                if name == _OPAQUE:
                    emptied.add(folder)
                elif name.startswith(_WHITEOUT):
                    gone.add(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
                else:
                    own[path] = self._file(layer, member, path, own)
        gone |= {path for path, file in own.items() if file.kind != "folder"}
        self.files = {
            path: file
            for path, file in self.files.items()
            if path not in gone and not any(str(parent) in gone | emptied for parent in PurePosixPath(path).parents)
        }
        self.files |= own

    def _file(self, layer: tarfile.TarFile, member: tarfile.TarInfo, path: str, own: dict[str, ImageFile]) -> ImageFile:
        if member.islnk():
            linked = _absolute(member.linkname)
            other = own.get(linked) or self.files[linked]
            if path in self.take and linked in self.take and self.take[linked].exists():
                shutil.copyfile(self.take[linked], self.take[path])
            return other
        if member.isreg():
            content = layer.extractfile(member)
            assert content is not None
            return ImageFile(
                kind="file", mode=member.mode, size=member.size, sha256=_copy(content, self.take.get(path))
            )
        if member.issym():
            return ImageFile(kind="link", mode=member.mode, link=member.linkname)
        return ImageFile(kind="folder" if member.isdir() else "other", mode=member.mode)


def _copy(content: IO[bytes], target: Path | None = None) -> str:
    """Read a file to its end, into a file where one is named; its SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") if target else nullcontext() as file:
        while piece := content.read(_PIECE):
            digest.update(piece)
            if file is not None:
                file.write(piece)
    return digest.hexdigest()


def _absolute(name: str) -> str:
    """A member's path in the image (`./usr/bin/x` is `/usr/bin/x`)."""
    if ".." in PurePosixPath(name).parts:
        raise ValueError(f"{name} leads out of the image")
    return posixpath.normpath("/" + name.lstrip("/"))


def _plain(blob: IO[bytes]) -> IO[bytes]:
    """What a layer holds: it is a plain tar archive, or one compressed with gzip."""
    magic = blob.read(4)
    blob.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(blob)  # type: ignore[return-value]  # a reader of bytes all the same
    if magic == b"\x28\xb5\x2f\xfd":
        raise ValueError("a layer is compressed with zstd, which is not read here")
    return blob
