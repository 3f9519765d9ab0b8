"""The content of a release, once for all destinations: out of the engine and `dist`, or out of an OCI layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from builder.arch import ARCHES, Arch
from builder.errors import EngineError, InputError, VerifyError
from builder.publish import gate
from builder.publish.artifact import (
    RELEASE_NAME,
    RELEASE_TYPE,
    Attachment,
    ReleaseFile,
    add_attachment,
    add_release,
    attachments,
    release_files,
)
from builder.publish.content import (
    INDEXES,
    Descriptor,
    SavedImage,
    Store,
    reachable,
    read_archive,
    read_descriptor,
    read_layout,
)
from builder.publish.plan import Part, Plan, Referrer, plan_tags
from builder.publish.unpack import layers, write_release
from builder.release import REJECTED, human_size
from builder.releasefolder import ReleaseFolder, find_release
from builder.settings.grammar import REPOSITORY

Note = Callable[[str], None]
_NAME = re.compile(rf"{REPOSITORY}:\w[\w.-]{{0,127}}", re.ASCII)


class Engine(Protocol):
    """What is asked of the engine; see `builder.engine.docker.Docker`."""

    def image_id(self, reference: str) -> str | None: ...

    def save(self, reference: str, tar: Path) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release that has passed its checks, and the files of it that are published."""

    folder: ReleaseFolder
    files: tuple[ReleaseFile, ...]

    @property
    def v(self) -> str:
        return self.folder.v

    @property
    def a(self) -> str:
        return self.folder.a


@dataclass(kw_only=True)
class Bundle:
    """All content that is published, and what it is; see `plan`."""

    store: Store = field(default_factory=Store)
    releases: list[Release] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    referrers: list[Referrer] = field(default_factory=list)

    def plan(self, moving: Sequence[str] = ()) -> Plan:
        """What a destination is to have, with these moving tags."""
        return Plan(tags=plan_tags(self.parts, self.store, moving), referrers=tuple(self.referrers))

    def attach(self, attached: Sequence[Attachment], parts: Sequence[Part]) -> None:
        """Have things that are said of parts published after them.

        Raises:
            InputError: A file cannot be read.
        """
        for each in attached:
            for part in parts:
                manifest = add_attachment(self.store, each, part.target)
                self.referrers.append(
                    Referrer(repository=part.repository, subject=part.target.digest, manifest=manifest)
                )


def find_releases(root: Path) -> list[ReleaseFolder]:
    """The release in a folder, and those in folders below it: of other architectures, for example.

    Raises:
        InputError: There is none.
    """
    below = sorted(each.parent for each in root.glob("*/kernel/"))
    folders = [each for each in below if not each.name.startswith(".") and each.name != REJECTED]
    own = [find_release(root)] if (root / "kernel").is_dir() or not folders else []
    return [*own, *map(find_release, folders)]


def checked(folder: ReleaseFolder, *, note: Note, terms: gate.Terms, own: bool = True) -> Release:
    """A release that may be published; see `gate.check`.

    Raises:
        VerifyError: It may not.
        InputError: It is not whole.
    """
    files = release_files(folder)
    gate.check(folder, note=note, terms=terms, own=own)
    return Release(folder=folder, files=files)


def from_dist(
    releases: Sequence[Release],
    engine: Engine | None,
    work: Path,
    *,
    org: str = "",
    note: Note,
) -> Bundle:
    """The content of releases in folders, their images out of the engine.

    Args:
        engine: None when no images are wanted.
        work: Receives the images' archives, which have to stay there.
        org: Of a release that names no images.

    Raises:
        EngineError: The engine does not have an image.
        VerifyError: It has another one than the release's.
    """
    bundle = Bundle(releases=list(releases))
    for number, release in enumerate(releases):
        arch = _arch(release.folder)
        parts: list[Part] = []
        for tag in release.folder.images if engine else ():
            assert engine is not None
            archive = work / f"{number}-{len(parts)}.tar"
            saved = _saved(engine, tag, archive, bundle.store, note)
            _check_image(release.folder, tag, saved, arch)
            parts.append(Part(repository=tag.rpartition(":")[0], v=release.v, arch=arch, target=saved.manifest))
        parts.append(_files_part(bundle.store, release, arch, org))
        bundle.parts += parts
        bundle.attach(attachments(release.folder.root), parts)
    return bundle


def _files_part(store: Store, release: Release, arch: Arch, org: str) -> Part:
    """The artifact of a release's files."""
    owner = release.folder.images[0].rpartition("/")[0] if release.folder.images else org
    if not owner:
        raise InputError(
            "it names no images, and so no org",
            where=release.folder.root,
            hint="publish what `rosk build` wrote, with its file images",
        )
    target = add_release(store, release.folder, release.files)
    return Part(repository=f"{owner}/{RELEASE_NAME}", v=release.v, arch=arch, target=target, indexed=False)


def _arch(folder: ReleaseFolder) -> Arch:
    try:
        return ARCHES[folder.a]
    except KeyError:
        raise InputError(
            f"its architecture, {folder.a}, is none that rosk knows", where=folder.root, hint="publish another release"
        ) from None


def _saved(engine: Engine, tag: str, archive: Path, store: Store, note: Note) -> SavedImage:
    if engine.image_id(tag) is None:
        raise EngineError(
            f"the engine does not have {tag}",
            hint="build it again, or publish to places that take files alone: a folder, a server, GitHub",
        )
    engine.save(tag, archive)
    note(f"{tag}: {human_size(archive.stat().st_size)} from the engine")
    return read_archive(archive, store)


def _check_image(folder: ReleaseFolder, tag: str, saved: SavedImage, arch: Arch) -> None:
    """See that an image is the one of the release, and for its architecture."""
    listed = folder.manifest.get("images")
    wanted = listed.get(tag) if isinstance(listed, dict) else None
    if wanted not in (None, *saved.digests):
        raise VerifyError(
            f"the image {tag} is not the release's, {wanted}", where=folder.root, hint="build the release again"
        )
    if saved.manifest.platform.get("architecture") != arch.oci:
        raise VerifyError(f"the image {tag} is not for {arch.oci}", where=folder.root, hint="build the release again")


def from_layout(layout: Path, work: Path, *, note: Note, terms: gate.Terms) -> Bundle:
    """The content of a layout that `rosk publish --to oci:FOLDER` wrote; its files pass their checks first.

    Args:
        work: Receives the releases' files.

    Raises:
        InputError: It is no such layout, or not whole.
        VerifyError: A release in it does not pass, or an image is not its release's.
    """
    bundle = Bundle()
    named = read_layout(layout, bundle.store)
    try:
        _take(bundle, named, work, note, terms)
    except VerifyError as error:
        error.where, error.hint = layout, f"get its files with `rosk pull oci:{layout}` and look with `rosk verify`"
        raise
    except InputError as error:  # of files that are in no folder of the user's
        error.where = layout
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"it is no release: {error}", where=layout, hint="name a folder that `rosk publish --to oci:FOLDER` wrote"
        ) from error
    if not bundle.releases:
        raise InputError("there is no release in it", where=layout, hint="`rosk publish --to oci:FOLDER` writes one")
    return bundle


def _take(bundle: Bundle, named: dict[str, Descriptor], work: Path, note: Note, terms: gate.Terms) -> None:
    done: set[str] = set()
    for name, descriptor in sorted(named.items()):
        repository = name.rpartition(":")[0]
        if not repository.endswith(f"/{RELEASE_NAME}") or descriptor.digest in done or ":sha256-" in name:
            continue
        document = bundle.store.document(descriptor.digest)
        if document.get("artifactType") != RELEASE_TYPE:
            continue
        done.add(descriptor.digest)
        _check_name(name)
        root = work / f"release-{len(done)}"
        write_release(root, {title: bundle.store.blob(layer.digest) for title, layer in layers(document).items()})
        folder = find_release(root)
        for tag in folder.images:
            _check_name(tag)
        release = checked(folder, note=note, terms=terms, own=False)
        arch = _arch(release.folder)
        target = Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size)
        parts = [Part(repository=repository, v=release.v, arch=arch, target=target, indexed=False)]
        for tag in release.folder.images:
            saved = _of_arch(bundle.store, named[tag], arch)
            _check_image(release.folder, tag, saved, arch)
            parts.append(Part(repository=tag.rpartition(":")[0], v=release.v, arch=arch, target=saved.manifest))
        bundle.releases.append(release)
        bundle.parts += parts
        for part in parts:
            bundle.referrers += _referrers(bundle.store, named, part)
    for each in (*(part.target for part in bundle.parts), *(referrer.manifest for referrer in bundle.referrers)):
        reachable(bundle.store, each)


def _check_name(name: str) -> None:
    """See that a name is one of an image: it becomes a part of addresses, below the registry's prefix.

    Raises:
        ValueError: It is not.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no name of an image")


def _of_arch(store: Store, descriptor: Descriptor, arch: Arch) -> SavedImage:
    """The image of an architecture that a tag stands for, itself or in an index."""
    document = store.document(descriptor.digest)
    if descriptor.media_type in INDEXES:
        entries = map(read_descriptor, document["manifests"])
        (descriptor,) = (each for each in entries if each.platform.get("architecture") == arch.oci)
        document = store.document(descriptor.digest)
    config = store.document(document["config"]["digest"])
    platform = {name: str(config[name]) for name in ("architecture", "os", "variant") if config.get(name)}
    manifest = Descriptor(
        media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size, platform=platform
    )
    return SavedImage(manifest=manifest, digests=frozenset([descriptor.digest, document["config"]["digest"]]))


def _referrers(store: Store, named: dict[str, Descriptor], part: Part) -> list[Referrer]:
    """What a layout has attached to a part (the tag of the referrers tag schema)."""
    index = named.get(f"{part.repository}:{part.target.digest.replace(':', '-')}")
    if index is None:
        return []
    found = map(read_descriptor, store.document(index.digest)["manifests"])
    return [Referrer(repository=part.repository, subject=part.target.digest, manifest=each) for each in found]
