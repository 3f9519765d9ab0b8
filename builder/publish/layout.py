"""A folder as a registry: an OCI image layout that carries a release where no network goes.

Source: the OCI image specification, `image-layout.md`. What `index.json` names is called as a registry without a prefix
would have it: `acme/os-kernel:6.12.64-acme`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.files import locked
from builder.inputs.store import file_sha256, write_atomically
from builder.publish.content import (
    OCI_INDEX,
    REF_NAME,
    Blob,
    Descriptor,
    compact,
    digest_of,
    parse_json,
    read_descriptor,
    with_referrer,
)
from builder.publish.http import Failure, Progress
from builder.publish.registry import Manifest

_LOCK = ".rosk"


class LayoutFolder:
    """An OCI image layout, made when it is not there; the methods are those of a registry (`transfer.Destination`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"oci:{folder}"

    def open(self) -> None:
        """See that the folder is a layout, or can be one.

        Raises:
            Failure: It is something else.
        """
        with _errors():
            if self.folder.exists() and not (self.folder / "oci-layout").is_file() and any(self.folder.iterdir()):
                raise Failure("the folder is not empty, and no OCI layout")

    def _make(self) -> None:
        """Make the layout, where it is not there yet."""
        if not (self.folder / "oci-layout").is_file():
            write_atomically(self.folder / "oci-layout", compact({"imageLayoutVersion": "1.0.0"}))
        (self.folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        if not (self.folder / "index.json").exists():
            self._write([])

    def reference(self, repository: str, tag: str) -> str:
        return f"{self.name}:{repository}:{tag}"

    def tagged(self, repository: str, reference: str) -> Manifest | None:
        """What a tag (or a digest) stands for; None when there is no such thing."""
        with _errors():
            digest, media_type = reference, ""
            if not reference.startswith("sha256:"):
                found = self._named().get(f"{repository}:{reference}")
                if found is None:
                    return None
                digest, media_type = found.digest, found.media_type
            data = self._path(digest).read_bytes()
            if digest_of(data) != digest:
                raise Failure(f"{digest} is damaged: remove its file and publish again")
            return Manifest(digest=digest, media_type=media_type, data=data)

    def has_manifest(self, repository: str, descriptor: Descriptor) -> bool:
        return self.has_blob(repository, descriptor)

    def has_blob(self, repository: str, descriptor: Descriptor) -> bool:
        """Whether a blob is there, and not damaged."""
        with _errors():
            path = self._path(descriptor.digest)
            if not path.is_file() or path.stat().st_size != descriptor.size:
                return False
            return f"sha256:{file_sha256(path)}" == descriptor.digest

    def put_blob(self, repository: str, blob: Blob, progress: Progress) -> bool:
        """Copy a blob; it has its name only when it is whole."""
        with _errors():
            self._make()
            path = self._path(blob.digest)
            new = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                with new.open("wb") as file:
                    for piece in blob.open():
                        file.write(piece)
                        progress(len(piece))
                if f"sha256:{file_sha256(new)}" != blob.digest:
                    raise Failure(f"{blob.digest} is not what it was: was the release replaced meanwhile?")
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)
        return True

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        """Write a manifest at its digest, or let a tag name it."""
        with _errors():
            self._make()
            digest = digest_of(data)
            write_atomically(self._path(digest), data)
            if reference == digest:
                return
            name = f"{repository}:{reference}"
            descriptor = Descriptor(media_type=media_type, digest=digest, size=len(data), annotations={REF_NAME: name})
            with locked(self.folder / _LOCK):
                self._write([*(each for key, each in self._named().items() if key != name), descriptor])

    def add_referrer(self, repository: str, subject: str, descriptor: Descriptor) -> None:
        """Have a manifest found from what it is about, by the tag that registries without a referrers API use."""
        tag = subject.replace(":", "-")
        before = self.tagged(repository, tag)
        with _errors():
            index = with_referrer(before.data if before else None, descriptor)
        if index is not None:
            self.put_manifest(repository, tag, OCI_INDEX, index)

    def _path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")

    def _named(self) -> dict[str, Descriptor]:
        if not (self.folder / "index.json").exists():
            return {}
        index = parse_json((self.folder / "index.json").read_text())
        found = map(read_descriptor, index["manifests"])
        return {each.annotations.get(REF_NAME, each.digest): each for each in found}

    def _write(self, entries: list[Descriptor]) -> None:
        listed = [entry.as_json() for entry in sorted(entries, key=lambda each: each.annotations.get(REF_NAME, ""))]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        write_atomically(self.folder / "index.json", json.dumps(index, indent=1).encode() + b"\n")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        raise Failure(f"cannot be used: {said}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise Failure(f"is a damaged OCI layout: {error}") from error
