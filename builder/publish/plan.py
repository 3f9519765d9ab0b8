"""What goes where: the tags of a release, its indexes over architectures, and what is attached. Nothing is asked here.

The contract on tags: each architecture has V with its suffix, which is empty on amd64. V is an index over all
architectures when several are published together and amd64 is one of them: whoever pulls V on amd64 gets the same image
with the index and without. Without amd64 there is no V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.arch import ARCHES, Arch
from builder.errors import InputError
from builder.publish.content import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, Descriptor, Store, compact


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that is published for one architecture.

    Attributes:
        repository: Without a registry (`acme/os-kernel`).
        v: The kernel release.
        target: The image's manifest, or the artifact's.
        indexed: An index at V may hold it; each architecture's files are an artifact of their own.
    """

    repository: str
    v: str
    arch: Arch
    target: Descriptor
    indexed: bool = True


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag, and what it is to stand for; one that is `moving` may have stood for something else."""

    repository: str
    tag: str
    target: Descriptor
    moving: bool = False


@dataclass(frozen=True, kw_only=True)
class Referrer:
    """A manifest that is about another one of its repository."""

    repository: str
    subject: str
    manifest: Descriptor


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that one destination is to have."""

    tags: tuple[Tag, ...]
    referrers: tuple[Referrer, ...] = ()


def plan_tags(parts: Sequence[Part], store: Store, moving: Sequence[str] = ()) -> tuple[Tag, ...]:
    """The tags of a release: those with V, then the moving ones.

    Args:
        store: Receives the indexes.
        moving: Tags that follow the newest release, see `expand`.

    Raises:
        InputError: Two parts want the same tag.
    """
    fixed = _tags(parts, store)
    seen: dict[tuple[str, str], Tag] = {}
    for tag in fixed:
        other = seen.setdefault((tag.repository, tag.tag), tag)
        if other is not tag:
            raise InputError(
                f"there are two of {tag.repository}:{tag.tag}", hint="name one release of an architecture only"
            )
    versions = {part.v: part.v for part in parts}
    moved = []
    for template in moving:
        for v in versions:
            moved += [
                Tag(repository=tag.repository, tag=name + tag.tag.removeprefix(v), target=tag.target, moving=True)
                for tag in fixed
                if tag.tag.startswith(v) and (name := expand(template, v)) != v
            ]
    targets: dict[tuple[str, str], Tag] = {}
    for tag in moved:
        other = targets.setdefault((tag.repository, tag.tag), tag)
        if other.target != tag.target:
            raise InputError(
                f"{tag.repository}:{tag.tag} cannot follow two releases at once",
                hint="publish them one after another, or have {series} or {suffix} in the moving tag",
            )
    return (*fixed, *targets.values())


def expand(template: str, v: str) -> str:
    """A moving tag of the release `v`.

    `{version}` is the kernel's (6.12.64), `{series}` its first two numbers (6.12), `{suffix}` what follows (acme).
    """
    version, _, suffix = v.partition("-")
    series = ".".join(version.split(".")[:2])
    return template.replace("{series}", series).replace("{version}", version).replace("{suffix}", suffix)


def _tags(parts: Sequence[Part], store: Store) -> list[Tag]:
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.repository, part.v), []).append(part)
    tags = []
    for (repository, v), group in groups.items():
        plain = [part for part in group if not part.arch.tag_suffix]
        several = plain and group[0].indexed and len({part.arch.name for part in group}) > 1
        for part in group:
            if part.arch.tag_suffix or not several:
                tags.append(Tag(repository=repository, tag=v + part.arch.tag_suffix, target=part.target))
        if several:
            tags.append(Tag(repository=repository, tag=v, target=add_index(group, store)))
    return tags


def add_index(parts: Sequence[Part], store: Store) -> Descriptor:
    """Put an index over the architectures of an image into a store.

    It is of the kind that its images are of: who reads the one, reads the other.
    """
    order = list(ARCHES)
    ordered = sorted(parts, key=lambda part: order.index(part.arch.name))
    old = all(part.target.media_type == DOCKER_MANIFEST for part in ordered)
    kind = DOCKER_LIST if old else OCI_INDEX
    entries = []
    for part in ordered:
        platform = {"architecture": part.arch.oci, "os": "linux", **part.target.platform}
        entry = Descriptor(
            media_type=part.target.media_type, digest=part.target.digest, size=part.target.size, platform=platform
        )
        entries.append(entry.as_json())
    return store.add_bytes(compact({"schemaVersion": 2, "mediaType": kind, "manifests": entries}), kind)
