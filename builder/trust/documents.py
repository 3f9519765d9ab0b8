"""The documents of a release as files, and as what a registry keeps beside its images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.project import Project
from builder.release import CONTEXT, MANIFEST, PROVENANCE, SBOM, describe
from builder.trust.facts import read_facts
from builder.trust.provenance import provenance
from builder.trust.sbom import sbom

MEDIA_TYPES = {SBOM: "application/spdx+json", PROVENANCE: "application/vnd.in-toto+json"}
"""Their registered types (IANA), by which a registry and its clients know them."""


@dataclass(frozen=True, kw_only=True)
class Referrer:
    """A document that belongs to an image: the OCI distribution specification's referrers.

    Attributes:
        image: The image's tag (`acme/os-kernel:V`).
        subject: Its digest. The document names the image, never the other way round: no digest changes.
        media_type: The type of the document and of the artifact.
        path: The file.
    """

    image: str
    subject: str
    media_type: str
    path: Path


def write_documents(project: Project, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the SBOM and the provenance of the release in a staging folder, whose manifest is there."""
    facts = read_facts(
        project,
        manifest,
        manifest_sha256=describe(folder / MANIFEST)["sha256"],
        context=folder / CONTEXT,
        reports=folder / "reports",
    )
    _write(folder / SBOM, sbom(facts))
    others = {name: describe(folder / name)["sha256"] for name in (MANIFEST, SBOM)}
    _write(folder / PROVENANCE, provenance(facts, others))


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def referrers(dist: Path) -> list[Referrer]:
    """What goes to a registry beside the images of the release in `dist`: each document for each image.

    Raises:
        OSError, ValueError: The folder holds no whole release.
    """
    images = json.loads((dist / MANIFEST).read_text())["images"]
    return [
        Referrer(image=tag, subject=digest, media_type=media_type, path=dist / name)
        for tag, digest in images.items()
        for name, media_type in MEDIA_TYPES.items()
    ]
