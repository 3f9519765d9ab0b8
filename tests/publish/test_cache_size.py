"""Shared caches in real registries, whose configs are too large for BuildKit to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder import cachesize
from builder.cacheconfig import LARGEST, MEDIA_TYPE, trimmed
from builder.cachesize import InRegistry, keep_readable
from builder.project import Project, load_project
from builder.publish.content import OCI_MANIFEST, Blob, digest_of
from builder.publish.registry import RegistryClient
from tests.publish.registries import PASSWORD, USER, Look, basic, docker_config
from tests.unit.projects import SETTINGS, write_project
from tests.unit.test_cacheconfig import history, packed

FORM = "type=registry,ref={}/{}/cache:6.12,mode=max"


def project_with(folder: Path, look: Look) -> Project:
    """A project whose settings say how to talk to a registry."""
    ca = ""
    if look.tls:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.pem").write_bytes(look.tls.ca.read_bytes())
        ca = "\n    ca: ca.pem"
    settings = f"{SETTINGS.partition('registries:')[0]}registries:\n  - host: {look.host}\n    prefix: releases{ca}\n"
    return load_project(write_project(folder, **{"config/rosk.yaml": settings}), arch="x86")


def write_cache(project: Project, reference: str, config: bytes) -> None:
    """A cache as BuildKit writes it to a registry."""
    place = InRegistry(reference, project)
    client: RegistryClient = place._client
    client.open()
    layer = b"a layer"
    for data in (config, layer):
        client.put_blob(place._repository, Blob(digest=digest_of(data), size=len(data), data=data), lambda _: None)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": MEDIA_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": "application/octet-stream", "digest": digest_of(layer), "size": len(layer)}],
    }
    client.put_manifest(place._repository, place._tag, OCI_MANIFEST, packed(manifest))


def read_cache(look: Look, repository: str, tag: str) -> bytes:
    look.complete(repository, tag)
    _, manifest = look.manifest(repository, tag)
    assert len(manifest["layers"]) == 1
    return look.get(f"{repository}/blobs/{manifest['config']['digest']}").content


def make_small(project: Project, look: Look, org: str) -> list[str]:
    """Write a cache that is too large, and see that it is made small; what was said of it."""
    large, said = packed(history(9000)), list[str]()
    write_cache(project, f"{look.host}/{org}/cache:6.12", large)
    keep_readable([FORM.format(look.host, org)], project, say=said.append, warn=pytest.fail)
    assert read_cache(look, f"{org}/cache", "6.12") == trimmed(large)
    return said


def test_one_in_a_registry_is_made_small(plain: Look, org: str, tmp_path: Path) -> None:
    project = project_with(tmp_path, plain)
    said = make_small(project, plain, org)
    assert len(said) == 1 and said[0].startswith(f"the keys of the cache {plain.host}/{org}/cache:6.12 were ")
    keep_readable([FORM.format(plain.host, org)], project, say=pytest.fail, warn=pytest.fail)


def test_one_that_has_no_tag_and_fits(plain: Look, org: str, tmp_path: Path) -> None:
    project = project_with(tmp_path, plain)
    write_cache(project, f"{plain.host}/{org}/cache", small := packed(history(9)))
    keep_readable([f"type=registry,ref={plain.host}/{org}/cache"], project, say=pytest.fail, warn=pytest.fail)
    assert read_cache(plain, f"{org}/cache", "latest") == small


def test_one_behind_a_password_and_a_private_ca(
    locked: Look, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = docker_config(tmp_path / "docker", **{locked.host: basic(USER, PASSWORD)})
    monkeypatch.setenv("DOCKER_CONFIG", str(docker))
    project = project_with(tmp_path / "project", locked)
    said = make_small(project, locked, org)
    assert PASSWORD not in json.dumps(said)

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    said.clear()
    keep_readable([FORM.format(locked.host, org)], project, say=said.append, warn=pytest.fail)
    assert len(said) == 1 and "access denied" in said[0]


def test_another_build_writes_its_own_meanwhile(
    plain: Look, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_with(tmp_path, plain)
    reference = f"{plain.host}/{org}/cache:6.12"
    write_cache(project, reference, packed(history(50)))

    def slow(config: bytes) -> bytes:
        write_cache(project, reference, b"{}")
        return trimmed(config)

    monkeypatch.setattr(cachesize, "trimmed", slow)
    keep_readable([f"type=registry,ref={reference}"], project, say=lambda _: None, warn=pytest.fail, largest=0)
    assert read_cache(plain, f"{org}/cache", "6.12") == b"{}"


def test_one_that_cannot_be_had(plain: Look, org: str, tmp_path: Path) -> None:
    project = project_with(tmp_path, plain)
    keep_readable([f"type=registry,ref={plain.host}/{org}/none:6.12"], project, say=pytest.fail, warn=pytest.fail)
    said: list[str] = []
    keep_readable(["type=registry,ref=localhost:1/acme/cache:6.12"], project, say=said.append, warn=pytest.fail)
    assert len(said) == 1 and said[0].startswith("cannot look at the cache localhost:1/acme/cache:6.12: ")


def test_one_that_stays_too_large(plain: Look, org: str, tmp_path: Path) -> None:
    project = project_with(tmp_path, plain)
    config = b"x" * (LARGEST + 1)
    write_cache(project, f"{plain.host}/{org}/cache:6.12", config)
    warned: list[str] = []
    keep_readable([f"type=registry,ref={plain.host}/{org}/cache:6.12"], project, say=pytest.fail, warn=warned.append)
    assert len(warned) == 1 and "too large to be read" in warned[0] and "cannot be made smaller" in warned[0]
    assert read_cache(plain, f"{org}/cache", "6.12") == config


@pytest.mark.parametrize(
    ("reference", "host", "repository", "tag"),
    [
        ("acme/cache:6.12", "docker.io", "acme/cache", "6.12"),
        ("cache", "docker.io", "library/cache", "latest"),
        ("registry.example/a/b/c", "registry.example", "a/b/c", "latest"),
        ("localhost/a:t", "localhost", "a", "t"),
        ("[::1]:5000/a:t", "[::1]:5000", "a", "t"),
    ],
)
def test_what_a_reference_names(tmp_path: Path, reference: str, host: str, repository: str, tag: str) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    place = InRegistry(reference, project)
    assert (place._client.name, place._repository, place._tag) == (host, repository, tag)
