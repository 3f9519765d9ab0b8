"""How a release was made: an in-toto statement with SLSA's provenance, v1 of both.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and https://slsa.dev/spec/v1.0/provenance. It has
no times of the build and no machine in it, so that equal builds have equal statements: it says what a release follows
from, which anybody can try (`reproduce` of the parameters), and is worth what the signature over SHA256SUMS is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builder.trust.facts import Facts
from builder.trust.purl import debian, purl

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:rosk:kernel-release:1"
"""What the parameters below mean; another number when one changes its meaning or goes away."""
BUILDER = "urn:rosk:user"
"""Whoever ran rosk: the statement itself vouches for nobody, a signature does."""


def provenance(facts: Facts, files: Mapping[str, str]) -> dict[str, Any]:
    """The statement.

    Args:
        files: Further files of the release that it is about, by their names in `dist`, and their SHA-256 (hex).
    """
    manifest = facts.manifest
    return {
        "_type": STATEMENT,
        "subject": list(_subjects(facts, files)),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "reproduce": manifest["reproduce"],
                    "arch": manifest["arch"],
                    "settings": manifest["settings"],
                },
                "internalParameters": {
                    "release": manifest["release"],
                    "source_date_epoch": manifest["source_date_epoch"],
                },
                "resolvedDependencies": list(_dependencies(facts)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"rosk": manifest["rosk"]}},
                # By the checksum of its manifest a release is known; `build.json` and the other records name it too.
                "metadata": {"invocationId": f"sha256:{facts.manifest_sha256}"},
            },
        },
    }


def _subjects(facts: Facts, files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, entry in facts.manifest["outputs"].items():
        yield {"name": name, "digest": {"sha256": entry["sha256"]}}
    for name, sha256 in files.items():
        yield {"name": name, "digest": {"sha256": sha256}}
    for tag, digest in facts.manifest["images"].items():
        yield {"name": tag, "digest": _digest(digest)}


def _dependencies(facts: Facts) -> Iterator[dict[str, Any]]:
    """What went in, in the order of the build; each has a URI, a digest or both."""
    manifest, suite = facts.manifest, facts.manifest["settings"]["toolchain"]["suite"]
    source, firmware, toolchain = manifest["source"], manifest["firmware"], manifest["toolchain"]
    if facts.source_package:
        uri = debian(facts.source_package, source["package_version"], suite)
    else:
        uri = purl("generic", "linux", source["kernel_version"])
    yield _dependency("source", uri, source["sha256"])
    for name, entry in manifest["inputs"].items():
        yield _dependency(name, None, entry["sha256"])
    for module in manifest.get("modules", ()):
        found = _dependency(f"module {module['name']}", None, module["sha256"])
        yield {**found, "digest": {**found["digest"], **_commit(module["revision"])}}
    if firmware["revision"]:
        yield _dependency("firmware", purl("generic", "linux-firmware", firmware["revision"]), firmware["sha256"])
    yield {"name": toolchain["base"], "digest": _digest(toolchain["base_digest"])}
    for name, version in sorted(toolchain["packages"].items()):
        yield _dependency(name, debian(name, version, suite), None)


def _dependency(name: str, uri: str | None, sha256: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if uri:
        found["uri"] = uri
    if sha256:
        found["digest"] = {"sha256": sha256}
    return found


def _commit(revision: str | None) -> dict[str, str]:
    return {"gitCommit": revision} if revision else {}


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
