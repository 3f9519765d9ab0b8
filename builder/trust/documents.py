"""The documents of a release as files. What publishes it attaches them to its images by their names (referrers)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.project import Project
from builder.release import CONTEXT, MANIFEST, PROVENANCE, SBOM, describe
from builder.trust.facts import read_facts
from builder.trust.provenance import provenance
from builder.trust.sbom import sbom


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
    path.write_text(json.dumps(document, indent=1) + "\n")
