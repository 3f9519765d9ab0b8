"""The published form of the manifest: current, and what manifests really are."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from builder import __version__, release
from builder.cli.options import reproducer
from builder.graph import Resolved
from builder.manifestschema import SCHEMA_FILE, main, manifest_schema, schema_text
from builder.project import load_project
from builder.report.record import check_manifest
from tests.conftest import ROOT
from tests.unit.projects import SETTINGS, write_project

# The manifest of a release of the fake kernel tree, with fewer packages and settings.
REAL = json.loads("""\
{
 "schema": 1,
 "rosk": "0.1.0",
 "release": "6.12.99-fakeb3e6b464",
 "arch": "x86",
 "source_date_epoch": 1577836800,
 "reproduce": ["rosk", "build", "--arch", "x86"],
 "source": {
  "kind": "tree",
  "from": "tree linux",
  "kernel_version": "6.12.99",
  "package_version": null,
  "sha256": null
 },
 "toolchain": {
  "base": "rosk-base:trixie",
  "base_digest": "sha256:9a7b7ef5e7684c78fba0b54634eb4b3b5da355c8a902b975516350150055c79b",
  "packages": {"gcc-14": "14.2.0-19", "libstdc++6": "14.2.0-19", "make": "4.4.1-2"}
 },
 "inputs": {
  "config/kernel-config": {
   "size": 288,
   "sha256": "caf1fd962a12f2ddf35c53cc1633675d5777b28ca4b5a48ad33ecbbe31d02545"
  },
  "lists/modules.list": {
   "size": 53,
   "sha256": "b71abc20fad5b182ed65d13afafd9a40484fdc1e6437040d2cc295da18f542d8"
  }
 },
 "settings": {"org": "fakeb3e6b464", "suffix": null, "registries": []},
 "outputs": {
  "kernel/config": {
   "size": 845,
   "sha256": "6ff46d28beec74e3ce0502f9bfc7984de3e4d3fa15b9860679df6980acc699b6"
  },
  "kernel/linux-6.12.99-fakeb3e6b464-x86.tar.gz": {
   "size": 5521,
   "sha256": "72108fa10d1627671668c82256d8c6d54ddd1176c4bc400d9f82ae0c89094d81"
  }
 },
 "images": {
  "fakeb3e6b464/os-extras:6.12.99-fakeb3e6b464":
   "sha256:8bc9238ec54f21300b832ef88e2d3ebec206d346f1907bbd81da9f98ecebc45a"
 },
 "firmware": {"revision": "unknown", "sha256": null}
}
""")


def refuses(manifest: dict[str, Any]) -> bool:
    return not jsonschema.Draft202012Validator(manifest_schema()).is_valid(manifest)


def test_the_schema_file_is_current() -> None:
    """When this fails, run `python -m builder.manifestschema`."""
    assert (ROOT / SCHEMA_FILE).read_text() == schema_text()


def test_the_schema_file_is_written(tmp_path: Path) -> None:
    main([str(tmp_path / "schema.json")])
    assert json.loads((tmp_path / "schema.json").read_text()) == manifest_schema()


def test_a_real_manifest_fits() -> None:
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    jsonschema.validate(REAL, manifest_schema())
    for key in ("package_version", "sha256"):
        assert not refuses({**REAL, "source": {**REAL["source"], key: "a" * 64}})
    assert not refuses({**REAL, "firmware": {"revision": None, "sha256": "a" * 64}})


SIGNING = {"signing": {"certificate": "a" * 64, "subject": "CN=modules"}}
MODULE = {"name": "nic", "source": "git", "from": "https://host/nic", "revision": "b" * 40, "sha256": "c" * 64}
OTHER = {**MODULE, "name": "other", "source": "tarball", "revision": None}
FLAVOURS = "flavours:\n  plain: {}\n  cloud: {suffix: cloud}\n"


@pytest.mark.parametrize(
    ("flavour", "more"),
    [
        (None, {}),
        ("cloud", SIGNING),
        ("plain", {**SIGNING, "modules": [MODULE, OTHER]}),
    ],
)
def test_what_a_build_writes_fits(tmp_path: Path, flavour: str | None, more: dict[str, Any]) -> None:
    """A key that the writer gets and the schema does not have fails here."""
    text = SETTINGS + (FLAVOURS if flavour else "")
    project = load_project(write_project(tmp_path, **{"config/rosk.yaml": text}), arch="x86", flavour=flavour)
    digest = f"sha256:{'1' * 64}"
    resolved = Resolved(kernel_version="6.12.64", epoch=1, packages={"gcc": "14"}, base="b", base_digest=digest)
    v = project.release("6.12.64")
    with release.staging(project.dist) as folder:
        (folder / "kernel").mkdir()
        for name in release.file_names(project, v):
            (folder / "kernel" / name).write_text(name)
        release.describe_release(
            project,
            resolved,
            folder,
            sums={},
            images={f"acme/os-kernel:{v}": digest},
            command=reproducer(project, strict=False),
            firmware="20250101",
            **more,
        )
        written = json.loads((folder / "manifest.json").read_text())
        (tmp_path / "release.spdx.json").write_text((folder / "sbom.spdx.json").read_text())
        (tmp_path / "provenance.json").write_text((folder / "provenance.intoto.json").read_text())
    jsonschema.validate(written, manifest_schema())
    assert written["schema"] == manifest_schema()["properties"]["schema"]["const"]
    assert written["rosk"] == __version__
    assert written.keys() == REAL.keys() | more.keys()
    assert written["release"] == {None: v, "cloud": "6.12.64-cloud", "plain": "6.12.64-acme-plain"}[flavour]
    assert (flavour is not None) == ("--flavour" in written["reproduce"])
    assert list(written["settings"]["flavours"]) == ([flavour] if flavour else [])
    check_manifest(written, tmp_path)
    sbom = json.loads((tmp_path / "release.spdx.json").read_text())
    names = {package["name"] for package in sbom["packages"]}
    assert ("nic" in names) == ("modules" in more)
    statement = json.loads((tmp_path / "provenance.json").read_text())
    inputs = {each["name"]: each for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert inputs.get("module nic", {}).get("digest") == (
        {"sha256": "c" * 64, "gitCommit": "b" * 40} if "modules" in more else None
    )
    assert validate_full_spdx_document(parse_file(str(tmp_path / "release.spdx.json"))) == []


@pytest.mark.parametrize("key", sorted(REAL))
def test_every_key_is_needed(key: str) -> None:
    assert refuses({name: value for name, value in REAL.items() if name != key})


@pytest.mark.parametrize(
    "break_it",
    [
        lambda manifest: manifest.update(schema=2),
        lambda manifest: manifest.update(schema="1"),
        lambda manifest: manifest.update(more=1),
        lambda manifest: manifest.update(arch="amd64"),
        lambda manifest: manifest.update(reproduce="rosk build"),
        lambda manifest: manifest.update(reproduce=[]),
        lambda manifest: manifest["source"].update(kind="git"),
        lambda manifest: manifest["source"].update(sha256="abc"),
        lambda manifest: manifest["toolchain"].update(base_digest="9a7b"),
        lambda manifest: manifest["toolchain"]["packages"].update(gcc=14),
        lambda manifest: manifest["inputs"].update({"config/kernel-config": "abc"}),
        lambda manifest: manifest["inputs"]["config/kernel-config"].pop("sha256"),
        lambda manifest: manifest["outputs"].update({"../config": manifest["outputs"]["kernel/config"]}),
        lambda manifest: manifest["outputs"]["kernel/config"].update(size=-1),
        lambda manifest: manifest["images"].update(image="latest"),
        lambda manifest: manifest.update(firmware={}),
    ],
)
def test_what_does_not_fit(break_it: Callable[[dict[str, Any]], object]) -> None:
    broken = copy.deepcopy(REAL)
    break_it(broken)
    assert refuses(broken)
