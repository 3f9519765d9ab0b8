"""The SBOM and the provenance of a release: valid, complete, and the same for the same release."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from builder import release
from builder.graph import Resolved
from builder.project import load_project
from builder.trust.purl import debian, kernel_cpe, purl
from tests.unit.projects import commit_release, write_project

V = "6.12.64-acme"
RESOLVED = Resolved(
    kernel_version="6.12.64",
    epoch=1_700_000_000,
    packages={"gcc": "4:14.2.0-1", "libstdc++6": "14.2.0-19", "busybox-static": "1:1.37.0-6+b9", "kmod": "34.2-2"},
    base="rosk-base:trixie",
    base_digest=f"sha256:{'b' * 64}",
)
IMAGES = {f"acme/{name}:{V}": f"sha256:{digit * 64}" for name, digit in (("os-extras", "1"), ("os-kernel", "3"))}
PATCH = """\
From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?J=C3=B6rg=20Doe?= <joerg@example.org>
Subject: [PATCH] net: mend it

commit 89abcdef0123456789abcdef0123456789abcdef upstream.
---
--- a/a
+++ b/a
@@ -1 +1 @@
-x
+y
"""
WHENCE = {"rtl/a.bin": "Redistributable. See LICENCE.rtl for details.", "b.bin": 'GPLv2. Says "so".'}


def sums(*names: str) -> dict[str, dict[str, str]]:
    return {name: {kind: hashlib.new(kind, name.encode()).hexdigest() for kind in ("sha1", "sha256")} for name in names}


def build(root: Path, files: Mapping[str, str] | None = None, *, firmware: Mapping[str, Any] | None = None) -> Path:
    """The folder `dist` of a release that is made up, from a project with two patches and a hook."""
    write_project(root, **{"patches/x86/0001-a.patch": PATCH, "hooks/01-tune": "#!/bin/sh\n", **(files or {})})
    (root / "hooks/01-tune").chmod(0o755)
    project = load_project(root, arch="x86")
    with release.staging(project.dist) as folder:
        (folder / "kernel").mkdir()
        for name in release.file_names(project, V):
            (folder / "kernel" / name).write_text(name)
        for name in project.inputs.keys() - {"patches/0002-b.patch"}:  # that one is for other kernel versions
            (folder / release.CONTEXT / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / release.CONTEXT / name).write_bytes(project.inputs[name].read_bytes())
        (folder / "reports").mkdir()
        (folder / "reports/firmware.json").write_text(json.dumps(firmware or {}))
        commit_release(project, RESOLVED, folder, images=IMAGES)
    return project.dist


FIRMWARE = {"sums": {"main": sums("rtl/a.bin", "c.bin"), "extra": sums("b.bin")}, "licences": WHENCE}


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return build(tmp_path / "one", firmware=FIRMWARE)


def document(dist: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dist / release.SBOM).read_text())
    return found


def by_id(dist: Path) -> dict[str, dict[str, Any]]:
    return {each["SPDXID"]: each for kind in ("packages", "files") for each in document(dist)[kind]}


def named(dist: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [each for each in document(dist)["packages"] if each["name"] == name]
    return found


def relations(dist: Path, kind: str) -> set[tuple[str, str]]:
    """The names (of a firmware file its path) of what is related."""
    names = {each_id: each.get("fileName") or each["name"] for each_id, each in by_id(dist).items()}
    return {
        (names.get(each["spdxElementId"], ""), names[each["relatedSpdxElement"]])
        for each in document(dist)["relationships"]
        if each["relationshipType"] == kind
    }


@pytest.mark.parametrize("firmware", [None, {}, FIRMWARE])
def test_it_is_valid_spdx(tmp_path: Path, firmware: Mapping[str, Any] | None) -> None:
    path = build(tmp_path, firmware=firmware) / release.SBOM
    assert [message.validation_message for message in validate_full_spdx_document(parse_file(str(path)))] == []


def test_a_document_that_is_not_valid_is_found(dist: Path) -> None:
    """That the validator is one."""
    (dist / release.SBOM).write_text((dist / release.SBOM).read_text().replace("SPDXRef-source", "SPDXRef-gone", 1))
    assert validate_full_spdx_document(parse_file(str(dist / release.SBOM)))


def test_equal_releases_have_equal_documents(dist: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "two", firmware=FIRMWARE)
    for name in (release.SBOM, release.PROVENANCE):
        assert (dist / name).read_bytes() == (other / name).read_bytes()
    changed = build(tmp_path / "three", {"config/x86/kernel-config": "CONFIG_MODULES=y\n"}, firmware=FIRMWARE)
    assert document(changed)["documentNamespace"] != document(dist)["documentNamespace"]


def test_the_checksums_vouch_for_them(dist: Path) -> None:
    listed = dict(line.split("  ")[::-1] for line in (dist / release.SUMS).read_text().splitlines())
    assert {"manifest.json", "images", "sbom.spdx.json", "provenance.intoto.json"} <= listed.keys()
    for name, sha256 in listed.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == sha256


def test_the_source(dist: Path) -> None:
    source = named(dist, "linux")
    assert (source["versionInfo"], source["licenseDeclared"]) == ("6.12.64", "GPL-2.0-only WITH Linux-syscall-note")
    locators = {each["referenceType"]: each["referenceLocator"] for each in source["externalRefs"]}
    assert locators["cpe23Type"] == "cpe:2.3:o:linux:linux_kernel:6.12.64:*:*:*:*:*:*:*"
    assert locators["purl"].startswith("pkg:generic/linux@6.12.64")


def test_the_patches_that_were_applied(dist: Path) -> None:
    assert relations(dist, "PATCH_FOR") == {("0001-a.patch", "linux")}
    patch = named(dist, "0001-a.patch")
    assert patch["originator"] == "Person: Jörg Doe (joerg@example.org)"
    assert "Subject: net: mend it" in patch["sourceInfo"] and "commit 89abcdef0123" in patch["sourceInfo"]
    assert patch["checksums"] == [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(PATCH.encode()).hexdigest()}]


def test_names_and_headers_that_are_odd(tmp_path: Path) -> None:
    """Whatever a file is called and a patch says, the documents are valid JSON, and the IDs differ."""
    odd = "From: <\nSubject: \x01?=\n" + PATCH.partition("---\n")[2]
    names = ("patches/x86/0001-a.patch", "patches/x86/0001-\udcff.patch", "patches/x86/0001-ä b.patch")
    dist = build(tmp_path, dict.fromkeys(names, odd))
    found = [each for each in by_id(dist) if each.startswith("SPDXRef-input-patches")]
    assert len(found) == 3
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", each) for each in by_id(dist))


def test_the_toolchain(dist: Path) -> None:
    tools = {one for one, _ in relations(dist, "BUILD_TOOL_OF")}
    assert tools == {"gcc", "libstdc++6", "busybox-static", "kmod", "rosk-base:trixie", "01-tune"}
    (locator,) = named(dist, "libstdc++6")["externalRefs"]
    assert locator["referenceLocator"] == "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?distro=trixie"


def test_firmware_with_its_licences(dist: Path) -> None:
    package = f"linux-{V}-x86.tar.gz"
    contained = relations(dist, "CONTAINS")
    assert (package, "linux-firmware") in contained
    assert ("linux-firmware", "./lib/firmware/rtl/a.bin") in contained
    files = {each["fileName"]: each for each in document(dist)["files"]}
    texts = {each["licenseId"]: each["extractedText"] for each in document(dist)["hasExtractedLicensingInfos"]}
    for name, text in WHENCE.items():
        (licence,) = files[f"./lib/firmware/{name}"]["licenseInfoInFiles"]
        assert texts[licence] == text
    assert files["./lib/firmware/c.bin"]["licenseInfoInFiles"] == ["NOASSERTION"]


def test_packages_and_images_with_their_checksums(dist: Path) -> None:
    manifest = json.loads((dist / release.MANIFEST).read_text())
    contained = {other for one, other in relations(dist, "CONTAINS") if one == f"linux-{V}-x86"}
    assert contained == {name.partition("/")[2] for name in manifest["outputs"]} | {"acme/os-extras", "acme/os-kernel"}
    assert ("acme/os-extras", "kmod") in relations(dist, "CONTAINS")
    assert ("acme/os-kernel", f"build-linux-{V}-x86.tar.gz") in relations(dist, "GENERATED_FROM")
    assert named(dist, "acme/os-kernel")["checksums"][0]["checksumValue"] == "3" * 64


def test_the_provenance(dist: Path) -> None:
    statement = json.loads((dist / release.PROVENANCE).read_text())
    manifest = json.loads((dist / release.MANIFEST).read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    assert subjects.keys() == {*manifest["outputs"], *IMAGES, "manifest.json", "sbom.spdx.json"}
    for name in subjects.keys() - IMAGES.keys():
        assert subjects[name] == hashlib.sha256((dist / name).read_bytes()).hexdigest()
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["reproduce"] == ["rosk", "build"]
    assert definition["externalParameters"]["settings"] == manifest["settings"]
    needed = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert {"source", "gcc", "rosk-base:trixie", *manifest["inputs"]} <= needed.keys()
    assert all("uri" in each or "digest" in each for each in needed.values())
    assert needed["patches/0001-a.patch"]["digest"]["sha256"] == hashlib.sha256(PATCH.encode()).hexdigest()


def test_who_signs_is_in_no_document(tmp_path: Path) -> None:
    text = "org: acme\nkernel:\n  source: kernel.org\n  version: 6.12.64\nsign:\n  method: ssh\n  key: /home/me/key\n"
    dist = build(tmp_path, {"config/rosk.yaml": f"{text}trust:\n  keys: [keys/acme.pub]\n"})
    for path in dist.rglob("*.json"):
        assert not re.search(rb"/home/me|acme\.pub", path.read_bytes())


def test_package_urls() -> None:
    assert debian("bison", "2:3.8.2+dfsg-1+b2", "trixie") == (
        "pkg:deb/debian/bison@2:3.8.2%2Bdfsg-1%2Bb2?distro=trixie"
    )
    assert purl("oci", "os-kernel", "sha256:12", {"tag": "6.1-a/b"}) == "pkg:oci/os-kernel@sha256:12?tag=6.1-a%2Fb"
    assert kernel_cpe("6.13-rc1") is None
