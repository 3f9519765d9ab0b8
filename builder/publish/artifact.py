"""The files of a release as an OCI artifact, and what goes beside: signatures, SBOM, provenance.

Source: the OCI image specification 1.1, `manifest.md`, "Guidelines for Artifact Usage": an artifact has an
`artifactType`, an empty config, and its files as layers, named by `org.opencontainers.image.title` as ORAS does.

In it is what follows from the release's own bytes: what SHA256SUMS sums up, SHA256SUMS, the list of images, and the
files of `EXTRAS`. What a machine saw of it (`verify.json`, `build.json`, the report) stays out: two machines that built
the same release publish the same artifact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.arch import ARCHES
from builder.errors import InputError, VerifyError
from builder.inputs.store import file_sha256
from builder.publish.content import EMPTY_CONFIG, OCI_MANIFEST, Blob, Descriptor, Store, compact
from builder.releasefolder import ReleaseFolder

RELEASE_TYPE = "application/vnd.rosk.release.v1"
"""The artifact type of a release's files."""
RELEASE_NAME = "os-kernel-release"
"""Its repository, beside the images': `ORG/os-kernel-release`."""
SUMS, IMAGES_FILE = "SHA256SUMS", "images"
TITLE = "org.opencontainers.image.title"
SAFE_NAME = re.compile(r"(?:kernel/)?[A-Za-z0-9][A-Za-z0-9._+~-]{0,200}")
"""The names that a release's files may have, relative to `dist`."""
MOST_FILES = 64
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")

_MEDIA_TYPES = (
    (".spdx.json", "application/spdx+json"),
    (".sigstore.json", "application/vnd.dev.sigstore.bundle.v0.3+json"),
    (".cdx.json", "application/vnd.cyclonedx+json"),
    (".intoto.json", "application/vnd.in-toto+json"),
    (".intoto.jsonl", "application/vnd.in-toto+json"),
    (".json", "application/json"),
    (".tar.gz", "application/gzip"),
    (".tgz", "application/gzip"),
    (".tar.xz", "application/x-xz"),
    (".tar.zst", "application/zstd"),
    (".asc", "application/pgp-signature"),
    (".sig", "text/plain"),
    (".minisig", "text/plain"),
    (".list", "text/plain"),
)
EXTRAS = ("SHA256SUMS.?*", "*.spdx.json", "*.cdx.json", "*.intoto.json", "*.intoto.jsonl")
"""Files of `dist` that are published with a release where they are there."""
ATTACHED = ("*.spdx.json", "*.cdx.json", "*.intoto.json", "*.intoto.jsonl")
"""Those of them that are attached to each image and to the artifact as well (referrers)."""


@dataclass(frozen=True, kw_only=True)
class ReleaseFile:
    """One file: `name` is relative to `dist` (`kernel/config`), `file` where it is."""

    name: str
    file: Path
    size: int
    sha256: str

    @property
    def blob(self) -> Blob:
        return Blob(digest=f"sha256:{self.sha256}", size=self.size, file=self.file)


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file that says something of a subject: it is pushed after that, and found from it.

    Attributes:
        artifact_type: Of the referrer (`application/spdx+json`).
        file: Its content.
    """

    artifact_type: str
    file: Path


def release_files(release: ReleaseFolder) -> tuple[ReleaseFile, ...]:
    """The files of a release that are published; SHA256SUMS is the last.

    Raises:
        InputError: It has no SHA256SUMS, or that names what it should not.
        VerifyError: A file is not what SHA256SUMS says.
    """
    sums = release.root / SUMS
    listed = read_sums(sums)
    wrong, found = [], []
    for name, sha256 in listed.items():
        file = release.root / name
        if file.is_symlink() or not file.is_file():
            wrong.append(f"{name} is not there")
            continue
        entry = _file(release.root, file)
        found.append(entry)
        if entry.sha256 != sha256:
            wrong.append(f"{name} has another checksum")
    unlisted = sorted(set(_names(release)) - set(listed))
    wrong += [f"{name} is not in {SUMS}" for name in unlisted]
    if wrong:
        raise VerifyError(
            "the release is not what its SHA256SUMS says", where=sums, details=wrong, hint="build it again"
        )
    beside = [release.root / IMAGES_FILE, *extra_files(release.root)]
    known = {entry.name for entry in found}
    others = [_file(release.root, file) for file in dict.fromkeys(beside) if file.is_file()]
    return (*found, *(each for each in others if each.name not in known), _file(release.root, sums))


def read_sums(file: Path) -> dict[str, str]:
    """Name and checksum of each line of a SHA256SUMS.

    Raises:
        InputError: There is none, or a line of it is not right.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read: {error}", where=file, hint="publish what `rosk build` wrote") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _SUM.fullmatch(line)
        if match is None or not SAFE_NAME.fullmatch(match[2]) or match[2] in found or len(found) == MOST_FILES:
            raise InputError("is no line of a release's checksums", where=file, line=number, hint="build it again")
        found[match[2]] = match[1]
    return found


def extra_files(root: Path) -> list[Path]:
    """The files of a release's folder that `EXTRAS` names."""
    found = {path for pattern in EXTRAS for path in root.glob(pattern) if path.is_file() and not path.is_symlink()}
    return sorted(path for path in found if SAFE_NAME.fullmatch(path.name))


def is_beside(name: str) -> bool:
    """Whether a file of a release is published without SHA256SUMS having it: that itself, and what is said of it."""
    path = PurePosixPath(name)
    return name in (SUMS, IMAGES_FILE) or (path.name == name and any(path.match(pattern) for pattern in EXTRAS))


def attachments(root: Path) -> list[Attachment]:
    """What a release's folder has to say of its images and files, by `ATTACHED`."""
    found = sorted({path for pattern in ATTACHED for path in root.glob(pattern) if path.is_file()})
    return [Attachment(artifact_type=media_type(path.name), file=path) for path in found]


def _names(release: ReleaseFolder) -> Iterator[str]:
    if release.kernel_folder == release.root:
        return
    for file in sorted(release.kernel_folder.iterdir()):
        yield str(file.relative_to(release.root))


def _file(root: Path, file: Path) -> ReleaseFile:
    name = file.relative_to(root).as_posix()
    return ReleaseFile(name=name, file=file, size=file.stat().st_size, sha256=file_sha256(file))


def media_type(name: str) -> str:
    """The media type of a file of a release by its name."""
    if PurePosixPath(name).name in (SUMS, IMAGES_FILE, "config"):
        return "text/plain"
    return next((kind for end, kind in _MEDIA_TYPES if name.endswith(end)), "application/octet-stream")


def add_release(store: Store, release: ReleaseFolder, files: Sequence[ReleaseFile]) -> Descriptor:
    """Put a release's artifact into a store; the same for the same files."""
    layers = []
    for file in files:
        store.add(file.blob)
        named = {TITLE: file.name}
        layers.append(
            Descriptor(media_type=media_type(file.name), digest=file.blob.digest, size=file.size, annotations=named)
        )
    arch = ARCHES.get(release.a)
    annotations = {
        "org.opencontainers.image.title": f"Linux {release.v} for {release.a}",
        "org.opencontainers.image.version": release.v,
    }
    descriptor = _add_artifact(store, RELEASE_TYPE, layers, annotations)
    platform = {"architecture": arch.oci, "os": "linux"} if arch else {}
    return Descriptor(
        media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size, platform=platform
    )


def add_attachment(store: Store, attachment: Attachment, subject: Descriptor) -> Descriptor:
    """Put the referrer that an attachment of a subject is into a store.

    Raises:
        InputError: Its file cannot be read.
    """
    try:
        file = _file(attachment.file.parent, attachment.file)
    except OSError as error:
        raise InputError(
            f"it cannot be read: {error.strerror}", where=attachment.file, hint="it is to be attached to the release"
        ) from error
    store.add(file.blob)
    layer = Descriptor(
        media_type=attachment.artifact_type,
        digest=file.blob.digest,
        size=file.size,
        annotations={TITLE: file.name},
    )
    about = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    return _add_artifact(store, attachment.artifact_type, [layer], {}, about)


def _add_artifact(
    store: Store,
    artifact_type: str,
    layers: Sequence[Descriptor],
    annotations: dict[str, str],
    subject: Descriptor | None = None,
) -> Descriptor:
    empty = store.add_bytes(b"{}", EMPTY_CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty.as_json(),
        "layers": [layer.as_json() for layer in layers],
        **({"subject": subject.as_json()} if subject else {}),
        **({"annotations": annotations} if annotations else {}),
    }
    found = store.add_bytes(compact(manifest), OCI_MANIFEST)
    return Descriptor(
        media_type=found.media_type,
        digest=found.digest,
        size=found.size,
        artifact_type=artifact_type,
        annotations=annotations,
    )
