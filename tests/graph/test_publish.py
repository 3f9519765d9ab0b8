"""`rosk publish` and `rosk pull` with a real release and its images in a real engine."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from builder.engine.probe import probe
from builder.publish.registry import ACCEPT
from builder.releasefolder import find_release
from tests.conftest import Rosk, run_rosk
from tests.doctor import copy_release, package, repack

pytestmark = pytest.mark.engine


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


def digest_at(host: str, tag: str) -> str | None:
    repository, _, name = tag.rpartition(":")
    url = f"http://{host}/v2/{repository}/manifests/{name}"
    answer = requests.get(url, headers={"Accept": ACCEPT}, timeout=30)
    return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None


def attached(host: str, repository: str, digest: str) -> dict[str, str]:
    """What a registry has attached to an image, by the referrers tag schema: artifact type to the file's digest."""
    url = f"http://{host}/v2/{repository}/manifests"
    index = requests.get(f"{url}/{digest.replace(':', '-')}", headers={"Accept": ACCEPT}, timeout=30).json()
    found = {}
    for each in index["manifests"]:
        manifest = requests.get(f"{url}/{each['digest']}", headers={"Accept": ACCEPT}, timeout=30).json()
        assert manifest["subject"]["digest"] == digest
        found[each["artifactType"]] = manifest["layers"][0]["digest"]
    return found


def references(done: Rosk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.out)["references"]
    return found


def test_a_release_from_the_engine_to_mirrors_and_through_the_air(
    good: Path, registry: str, mirror: str, tmp_path: Path
) -> None:
    images = json.loads((good / "manifest.json").read_text())["images"]
    release = find_release(good)
    artifact = f"{next(iter(images)).partition('/')[0]}/os-kernel-release:{release.v}"
    layout = f"oci:{tmp_path / 'layout'}"
    words = ("publish", good, "-C", tmp_path, "--registry", registry, "--to", layout)

    documents = {
        kind: f"sha256:{hashlib.sha256((good / name).read_bytes()).hexdigest()}"
        for kind, name in (
            ("application/spdx+json", "sbom.spdx.json"),
            ("application/vnd.in-toto+json", "provenance.intoto.json"),
        )
    }

    planned = run_rosk(*words, "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert {each["state"] for each in references(planned)} == {"would be sent"}
    assert digest_at(registry, artifact) is None

    done = run_rosk(*words)
    assert done.code == 0, done.err
    for tag, digest in images.items():
        there = digest_at(registry, tag)
        assert attached(registry, tag.rpartition(":")[0], str(there)) == documents
        assert there == digest or not probe().containerd_store  # the classic store knows an image by its config
        assert any(f"{registry}/{tag}" in line and str(there) in line for line in done.out.splitlines())
        docker("pull", "-q", f"{registry}/{tag}")
        assert docker("image", "inspect", "-f", "{{.Id}}", f"{registry}/{tag}") == docker(
            "image", "inspect", "-f", "{{.Id}}", tag
        )
        docker("rmi", f"{registry}/{tag}")

    # Elsewhere, with no engine: the same checks, the same digests.
    relayed = run_rosk("publish", "--from", layout, "--to", mirror, "--json", "-C", tmp_path, DOCKER_HOST="unix:///no")
    assert relayed.code == 0, relayed.err
    assert {each["state"] for each in references(relayed)} == {"sent"}
    for tag in (*images, artifact):
        assert digest_at(mirror, tag) == digest_at(registry, tag) is not None
        assert attached(mirror, tag.rpartition(":")[0], str(digest_at(mirror, tag))) == documents

    pulled = run_rosk("pull", f"{mirror}/{artifact}", "--into", tmp_path / "pulled", ROSK_CACHE=str(tmp_path / "cache"))
    assert pulled.code == 0, pulled.err
    for path in (good / "kernel").iterdir():
        assert (tmp_path / "pulled/kernel" / path.name).read_bytes() == path.read_bytes()
    assert run_rosk("verify", tmp_path / "pulled", "--fast").code == 0


def test_a_release_that_does_not_pass_is_published_nowhere(good: Path, registry: str, tmp_path: Path) -> None:
    bad = copy_release(good, tmp_path / "bad")
    repack(package(bad, "kernel"), lambda archive: archive.remove("fs/ext4/ext4.ko"))
    shutil.copyfile(good / "verify.json", bad / "verify.json")  # of other bytes: it does not count
    places = ("--registry", registry, "--to", f"folder:{tmp_path / 'releases'}")
    done = run_rosk("publish", bad, "-C", tmp_path, *places)
    assert done.code == 10, done.err
    assert "not published" in done.err
    assert not requests.get(f"http://{registry}/v2/_catalog", timeout=10).json()["repositories"]
    assert not (tmp_path / "releases").exists()


def test_nowhere_to_publish_to(good: Path, tmp_path: Path) -> None:
    done = run_rosk("publish", good, "-C", tmp_path)
    assert done.code == 3
    assert "rosk.yaml" in done.err
