"""The bill of materials of a release: SPDX 2.3 as JSON (https://spdx.github.io/spdx-spec/v2.3/).

It follows from the facts alone: equal releases have equal documents, to the byte. Its date is that of the source, as
that of every file of the release is, and what SPDX wants unique (the namespace) is made from the manifest's checksum.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from builder.trust.facts import Facts, Firmware, Input
from builder.trust.purl import debian, kernel_cpe, purl

Element = dict[str, Any]
Relation = tuple[str, str, str]
"""An element's ID, the type of a relationship, and the ID of the other element."""

NOASSERTION = "NOASSERTION"
KERNEL_LICENCE = "GPL-2.0-only WITH Linux-syscall-note"
"""The kernel's own, as its file COPYING names it."""
IMAGE_TOOLS: Mapping[str, Sequence[str]] = {"os-extras": ("busybox-static", "kmod"), "os-headers": ("busybox-static",)}
"""Debian's packages whose programs an image carries (`builder.stages.imageroot`)."""
IMAGE_PACKAGES: Mapping[str, Sequence[str]] = {
    "os-extras": ("extras",),
    "os-headers": ("headers",),
    "os-kernel": ("kernel", "headers"),
}
_RELEASE, _SOURCE, _BASE = "SPDXRef-release", "SPDXRef-source", "SPDXRef-base-image"


def sbom(facts: Facts) -> dict[str, Any]:
    """The SPDX document of a release."""
    manifest = facts.manifest
    packages = [_release(facts), _source(facts), *_outputs(facts), *_images(facts), *map(_change, facts.changes)]
    packages += [*_external(facts), *_toolchain(facts), *_firmware_packages(facts)]
    licences = sorted(set(facts.firmware.licences.values()))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": facts.name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{facts.name}-{facts.manifest_sha256}",
        "creationInfo": {
            "created": datetime.fromtimestamp(manifest["source_date_epoch"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: rosk-{manifest['rosk']}", _organization(facts)],
        },
        "packages": packages,
        "files": list(_firmware_files(facts.firmware)),
        "hasExtractedLicensingInfos": [
            {"licenseId": _licence(text), "extractedText": text, "name": "as linux-firmware's WHENCE says"}
            for text in licences
        ],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in sorted({*_relations(facts)})
        ],
    }


def _organization(facts: Facts) -> str:
    return f"Organization: {facts.manifest['settings']['org']}"


def _package(spdx_id: str, name: str, *, version: str | None = None, **more: Any) -> Element:
    """A package of which the files were not looked at, unless `more` says otherwise."""
    element = {
        "SPDXID": spdx_id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": False,
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": NOASSERTION,
        "copyrightText": NOASSERTION,
        **more,
    }
    return {key: value for key, value in element.items() if value not in (None, [], "")}


def _release(facts: Facts) -> Element:
    return _package(
        _RELEASE,
        facts.name,
        version=facts.manifest["release"],
        supplier=_organization(facts),
        primaryPackagePurpose="OPERATING_SYSTEM",  # so in JSON, in the specification with a dash
        comment=f"Made by: {' '.join(facts.manifest['reproduce'])}",
    )


def _source(facts: Facts) -> Element:
    source = facts.manifest["source"]
    suite, version = facts.manifest["settings"]["toolchain"]["suite"], source["kernel_version"]
    if facts.source_package:
        locator = debian(facts.source_package, source["package_version"], suite)
    else:
        sha256 = source["sha256"]
        locator = purl("generic", "linux", version, {"checksum": f"sha256:{sha256}"} if sha256 else None)
    cpe = kernel_cpe(version)
    references = [_reference("PACKAGE-MANAGER", "purl", locator)]
    references += [_reference("SECURITY", "cpe23Type", cpe)] if cpe else []
    return _package(
        _SOURCE,
        "linux",
        version=version,
        supplier="Organization: Debian" if facts.source_package else None,
        sourceInfo=source["from"],
        licenseDeclared=KERNEL_LICENCE,
        primaryPackagePurpose="SOURCE",
        checksums=_checksums(source["sha256"]),
        externalRefs=references,
    )


def _outputs(facts: Facts) -> Iterator[Element]:
    kinds = {file: kind for kind, file in facts.packages.items()}
    for name, entry in facts.manifest["outputs"].items():
        kind = kinds.get(name)
        yield _package(
            _output_id(name),
            name.removeprefix("kernel/"),
            version=facts.manifest["release"],
            packageFileName=name,
            supplier=_organization(facts),
            primaryPackagePurpose={None: "FILE", "source": "SOURCE"}.get(kind, "ARCHIVE"),
            checksums=_checksums(entry["sha256"]),
        )


def _images(facts: Facts) -> Iterator[Element]:
    for tag, digest in facts.manifest["images"].items():
        repository, _, version = tag.partition(":")
        name = repository.rpartition("/")[2]
        yield _package(
            _id("image", name),
            repository,
            version=version,
            supplier=_organization(facts),
            primaryPackagePurpose="CONTAINER",
            checksums=_checksums(digest.removeprefix("sha256:")),
            externalRefs=[_reference("PACKAGE-MANAGER", "purl", purl("oci", name, digest, {"tag": version}))],
        )


def _change(change: Input) -> Element:
    """A patch or a hook."""
    about = change.about
    said = [("Subject", about.subject), ("Origin", about.origin), ("Upstream", about.upstream)] if about else []
    return _package(
        _id("input", change.name),
        change.name.partition("/")[2],
        packageFileName=change.name,
        originator=_person(about.author) if about else None,
        sourceInfo="; ".join(f"{label}: {text}" for label, text in said if text),
        primaryPackagePurpose="SOURCE",
        checksums=_checksums(change.sha256),
    )


def _person(author: str) -> str | None:
    """An author (`Jane Doe <jane@example.com>`) in the form of SPDX."""
    name, address = parseaddr(author)
    name = name or address
    return f"Person: {name} ({address})" if name and address else f"Person: {name}" if name else None


def _external(facts: Facts) -> Iterator[Element]:
    """The sources of external modules."""
    for module in facts.manifest.get("modules", ()):
        yield _package(
            _id("module", module["name"]),
            module["name"],
            version=module["revision"],
            sourceInfo=module["from"],
            primaryPackagePurpose="SOURCE",
            checksums=_checksums(module["sha256"] if module["source"] == "tarball" else None),
        )


def _toolchain(facts: Facts) -> Iterator[Element]:
    toolchain = facts.manifest["toolchain"]
    suite = facts.manifest["settings"]["toolchain"]["suite"]
    yield _package(
        _BASE,
        toolchain["base"],
        primaryPackagePurpose="CONTAINER",
        checksums=_checksums(toolchain["base_digest"].removeprefix("sha256:")),
    )
    for name, version in sorted(toolchain["packages"].items()):
        yield _package(
            _id("deb", name),
            name,
            version=version,
            supplier="Organization: Debian",
            externalRefs=[_reference("PACKAGE-MANAGER", "purl", debian(name, version, suite))],
        )


def _firmware_packages(facts: Facts) -> Iterator[Element]:
    """The firmware of each package that has some, its files looked at one by one."""
    revision = facts.manifest["firmware"]["revision"]
    for kind, files in sorted(facts.firmware.sums.items()):
        licences = sorted({_file_licence(facts.firmware, name) for name in files})
        # The verification code of the specification, 7.9.
        code = hashlib.sha1("".join(sorted(sums["sha1"] for sums in files.values())).encode()).hexdigest()
        yield _package(
            _id("firmware", kind),
            "linux-firmware",
            version=revision,
            filesAnalyzed=True,
            packageVerificationCode={"packageVerificationCodeValue": code},
            licenseInfoFromFiles=licences,
            primaryPackagePurpose="FIRMWARE",
            externalRefs=[_reference("PACKAGE-MANAGER", "purl", purl("generic", "linux-firmware", revision))],
        )


def _firmware_files(firmware: Firmware) -> Iterator[Element]:
    for kind, files in sorted(firmware.sums.items()):
        for name, sums in sorted(files.items()):
            yield {
                "SPDXID": _id(f"firmware-{kind}", name),
                "fileName": f"./lib/firmware/{name}",
                "fileTypes": ["BINARY"],
                "checksums": [
                    {"algorithm": algorithm.upper(), "checksumValue": value}
                    for algorithm, value in sorted(sums.items())
                ],
                "licenseConcluded": NOASSERTION,
                "licenseInfoInFiles": [_file_licence(firmware, name)],
                "copyrightText": NOASSERTION,
            }


def _file_licence(firmware: Firmware, name: str) -> str:
    text = firmware.licences.get(name)
    return _licence(text) if text else NOASSERTION


def _licence(text: str) -> str:
    """The ID of a licence that is text: WHENCE's words are no expressions of SPDX."""
    return f"LicenseRef-whence-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _relations(facts: Facts) -> Iterator[Relation]:
    yield "SPDXRef-DOCUMENT", "DESCRIBES", _RELEASE
    yield _RELEASE, "GENERATED_FROM", _SOURCE
    for name in facts.manifest["outputs"]:
        yield _RELEASE, "CONTAINS", _output_id(name)
        yield _output_id(name), "GENERATED_FROM", _SOURCE
    for tag in facts.manifest["images"]:
        yield from _relations_of_image(facts, tag.partition(":")[0].rpartition("/")[2])
    for change in facts.changes:
        kind, changed = ("PATCH_FOR", _SOURCE) if change.about else ("BUILD_TOOL_OF", _RELEASE)
        yield _id("input", change.name), kind, changed
    for module in facts.manifest.get("modules", ()):
        yield _RELEASE, "GENERATED_FROM", _id("module", module["name"])
    yield _BASE, "BUILD_TOOL_OF", _RELEASE
    for name in facts.manifest["toolchain"]["packages"]:
        yield _id("deb", name), "BUILD_TOOL_OF", _RELEASE
    for kind, files in facts.firmware.sums.items():
        yield _output_id(facts.packages[kind]), "CONTAINS", _id("firmware", kind)
        for name in files:
            yield _id("firmware", kind), "CONTAINS", _id(f"firmware-{kind}", name)


def _relations_of_image(facts: Facts, name: str) -> Iterator[Relation]:
    image = _id("image", name)
    yield _RELEASE, "CONTAINS", image
    for kind in IMAGE_PACKAGES.get(name, ()):
        yield image, "GENERATED_FROM", _output_id(facts.packages[kind])
    for tool in IMAGE_TOOLS.get(name, ()):
        if tool in facts.manifest["toolchain"]["packages"]:
            yield image, "CONTAINS", _id("deb", tool)


def _output_id(name: str) -> str:
    return _id("file", name.removeprefix("kernel/"))


def _id(kind: str, name: str) -> str:
    """An element's ID, in which SPDX allows letters, digits, `.` and `-`; other names get a checksum, to stay apart."""
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", name)
    return f"SPDXRef-{kind}-{plain}" + (
        f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}" if plain != name else ""
    )


def _checksums(sha256: str | None) -> list[dict[str, str]]:
    return [{"algorithm": "SHA256", "checksumValue": sha256}] if sha256 else []


def _reference(category: str, kind: str, locator: str) -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}
