"""A signed release, built with marked secrets in every place where a secret can be given: none of them comes out."""

from __future__ import annotations

import base64
import gzip
import io
import json
import lzma
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.release import PROVENANCE, SBOM, SIGNATURES
from tests import contract
from tests.conftest import ROOT, Rosk, run_rosk, serve_registry, serving
from tests.graph.conftest import FakeProject
from tests.graph.edits import new_project

pytestmark = pytest.mark.engine


def mark() -> str:
    return f"marked{secrets.token_hex(12)}"


def basic(user: str, password: str) -> str:
    """Credentials as HTTP and docker's configuration have them."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class CacheServer(BaseHTTPRequestHandler):
    """A remote compiler cache that has nothing, and keeps nothing; it notes who came."""

    came: set[str] = set()

    def answer(self) -> None:
        self.came.add(self.headers.get("Authorization", ""))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(404 if self.command in ("GET", "HEAD") else 201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Signed:
    """A build that is done.

    Attributes:
        marks: Where a secret was given, and the bytes by which it would be found.
        folders: All that rosk and the registry wrote.
        inputs: Where the secrets are.
    """

    project: FakeProject
    done: Rosk
    marks: dict[str, list[bytes]]
    folders: list[Path]
    inputs: Path
    ccache: str


@pytest.fixture(scope="module")
def signed(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    """A release of the fake tree, signed and pushed."""
    root, home = tmp_path_factory.mktemp("signed"), tmp_path_factory.mktemp("home")
    storage, temporary = tmp_path_factory.mktemp("registry"), tmp_path_factory.mktemp("tmp")
    project = new_project(base, root)
    words = {name: mark() for name in ("ccache", "docker", "netrc", "environment", "token")}
    key = root / "keys/release"
    key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    project.write(".gitignore", f"{words['token']}\n")  # of the project's folder only inputs are read
    with ExitStack() as stack:
        server = stack.enter_context(serving(CacheServer))
        registry = stack.enter_context(serve_registry(storage))
        project.write("secrets/ccache", f"http://rosk:{words['ccache']}@{server}/cache\n")
        lines = "cache:\n  compiler:\n    secret_file: secrets/ccache\nsign:\n  method: ssh\n  key: keys/release\n"
        project.edit("config/rosk.yaml", lambda text: f"{text}{lines}trust:\n  keys: [keys/release.pub]\n")
        (home / ".netrc").write_text(f"machine localhost login rosk password {words['netrc']}\n")
        auths = {"auths": {registry: {"auth": basic("rosk", words["docker"])}}}
        (home / "config.json").write_text(json.dumps(auths))
        shutil.copytree(root / "keys", home / "keys")
        shutil.copytree(root / "secrets", home / "secrets")
        env = {
            "HOME": str(home),
            "DOCKER_CONFIG": str(home),
            "TMPDIR": str(temporary),
            "ROSK_CACHE": str(home / "kept"),
            "AWS_SECRET_ACCESS_KEY": words["environment"],
            "COSIGN_PASSWORD": words["environment"],
        }
        done = run_rosk("build", "-C", root, "-v", "--push", "--registry", registry, cwd=ROOT, **env)
        marks = {name: [word.encode()] for name, word in words.items()}
        marks["docker"].append(basic("rosk", words["docker"]).encode())
        marks["ccache"].append(basic("rosk", words["ccache"]).encode())
        marks["signing key"] = key.read_bytes().splitlines()[2:-1]
        folders = [root / "dist", storage, temporary, home / "kept"]
        yield Signed(project, done, marks, folders, home, basic("rosk", words["ccache"]))


def pieces(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Bytes, and what they are when they are unpacked, archives in archives too."""
    yield data
    if depth > 5:
        return
    if data.startswith(b"\x1f\x8b"):
        yield from pieces(gzip.decompress(data), depth + 1)
    elif data.startswith(b"\xfd7zXZ\x00"):
        yield from pieces(lzma.decompress(data), depth + 1)
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    yield from pieces(content.read(), depth + 1)


def found(marks: dict[str, list[bytes]], data: bytes) -> set[str]:
    return {name for name, words in marks.items() for piece in pieces(data) if any(word in piece for word in words)}


def files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        for parent, _, names in os.walk(folder):
            yield from (path for name in names if (path := Path(parent, name)).is_file() and not path.is_symlink())


def test_it_was_built_with_them(signed: Signed) -> None:
    """Else the search below proves nothing."""
    assert signed.done.code == 0, signed.done.err
    assert f"Basic {signed.ccache}" in CacheServer.came
    contained = {name for path in files([signed.inputs]) for name in found(signed.marks, path.read_bytes())}
    assert contained == signed.marks.keys() - {"environment", "token"}
    packed = gzip.compress(b"x" + signed.marks["token"][0])
    assert found(signed.marks, packed) == {"token"}


def test_no_secret_is_in_a_file(signed: Signed) -> None:
    """Packages, SBOM, log, reports, the registry's blobs, and whatever lies in a temporary folder or the cache."""
    searched = list(files(signed.folders))
    assert any(path.name == SBOM for path in searched) and any("blobs" in path.parts for path in searched)
    assert {str(path): hit for path in searched if (hit := found(signed.marks, path.read_bytes()))} == {}


def test_no_secret_is_said(signed: Signed) -> None:
    assert found(signed.marks, (signed.done.out + signed.done.err).encode()) == set()


def test_no_secret_is_in_an_image(signed: Signed, tmp_path: Path) -> None:
    tags = (signed.project.root / "dist/images").read_text().split()
    assert len(tags) == 3
    for tag in tags:
        Docker().save(tag, tmp_path / "image.tar")
        assert found(signed.marks, (tmp_path / "image.tar").read_bytes()) == set()
        for words in (["image", "inspect", tag], ["history", "--no-trunc", tag]):
            said = subprocess.run(["docker", *words], capture_output=True, check=True).stdout
            assert said and found(signed.marks, said) == set()


def test_no_secret_is_in_the_records_of_the_engine(signed: Signed) -> None:
    records = subprocess.run(["docker", "buildx", "du", "--verbose"], capture_output=True, check=True).stdout
    assert b"builder.stages" in records and found(signed.marks, records) == set()
    history = subprocess.run(["docker", "buildx", "history", "ls"], capture_output=True)  # buildx has it since 0.20
    assert found(signed.marks, history.stdout) == set()


def test_no_secret_is_in_what_a_step_left_behind(signed: Signed) -> None:
    """In the places for passing files of what the engine keeps of each step, which a shared cache would have too."""
    root = subprocess.run(["docker", "info", "-f", "{{.DockerRootDir}}"], capture_output=True, text=True, check=True)
    layers = [*Path(root.stdout.strip()).glob("containerd/daemon/*snapshotter*/snapshots/*/fs")]
    assert any((layer / "out/report.json").exists() for layer in layers), "no step's layers are there"
    left = files([layer / name for layer in layers for name in ("tmp", "root", "run", "var/tmp")])
    assert {str(path): hit for path in left if (hit := found(signed.marks, path.read_bytes()))} == {}


def test_the_documents(signed: Signed) -> None:
    dist = signed.project.root / "dist"
    contract.check_dist(contract.find_release(dist))
    assert [each.validation_message for each in validate_full_spdx_document(parse_file(str(dist / SBOM)))] == []
    sbom = json.loads((dist / SBOM).read_text())
    assert "./lib/firmware/fakenic/nic-1.bin" in {each["fileName"] for each in sbom["files"]}
    statement = json.loads((dist / PROVENANCE).read_text())
    digests = {f"sha256:{each['digest']['sha256']}" for each in statement["subject"]}
    for tag in (dist / "images").read_text().split():
        assert Docker().image_id(tag) in digests


def test_rosk_verify_asks_for_the_signature(signed: Signed, tmp_path: Path) -> None:
    root, dist = signed.project.root, tmp_path / "dist"
    verify = ("verify", "--only", "signature", "--only", "checksums", "-C", root)
    assert run_rosk(*verify).code == 0
    shutil.copytree(root / "dist", dist)
    (dist / "kernel/config").write_text("CONFIG_EVIL=y\n")
    assert run_rosk(*verify, dist).code == 10
    # Whoever changes a file can sum it up again, and not sign it again.
    sums = subprocess.run("find kernel -type f | xargs sha256sum", shell=True, cwd=dist, capture_output=True, text=True)  # noqa: S602
    (dist / "SHA256SUMS").write_text(sums.stdout)
    done = run_rosk(*verify, dist)
    assert done.code == 10 and "signature" in done.err and "Traceback" not in done.err
    (dist / SIGNATURES["ssh"]).unlink()
    assert run_rosk(*verify, dist).code == 10
    assert run_rosk(*verify, dist, "--allow-unsigned").code == 0


def test_a_build_signs_a_release_that_is_not_signed(signed: Signed) -> None:
    signature = signed.project.root / "dist" / SIGNATURES["ssh"]
    before = signature.read_bytes()
    signature.unlink()
    done = run_rosk("build", "-C", signed.project.root, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["signature"] == str(signature)
    assert signature.read_bytes() == before  # Ed25519: the same key and the same sums give the same signature
