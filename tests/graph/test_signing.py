"""Modules signed with a key that is an input: valid, the same bits each time, and the key comes out nowhere."""

from __future__ import annotations

import gzip
import io
import json
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from builder import graph
from builder.build import Built
from builder.buildlog import BuildLog
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.project import load_project
from builder.signing.key import read_key
from builder.solver import Builder
from builder.view import QuietView
from tests.conftest import run_rosk
from tests.graph.conftest import FakeProject
from tests.graph.edits import in_mount, new_project, source
from tests.keys import PASSPHRASE, make_key, secrets_of, verifies

pytestmark = pytest.mark.engine

OPTIONS = "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_ALL=y\n"
# All that the steps which are near the key have written, in one place.
LAYERS = """
FROM scratch AS layers
COPY --from=patched /rosk /patched/rosk
COPY --from=patched /usr/src/linux /patched/linux
COPY --from=configured /out /configured
COPY --from=compile /out /compile
COPY --from=headers /out /headers
COPY --from=signed / /signed
COPY --from=split / /split
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "first.pem", passphrase=PASSPHRASE)


@pytest.fixture(scope="module")
def project(base: BaseImage, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeProject]:
    project = new_project(base, tmp_path_factory.mktemp("signed"))
    project.edit("config/x86/kernel-config", lambda text: text + OPTIONS)
    project.edit("config/rosk.yaml", lambda text: f"{text}signing:\n  key: {key}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KBUILD_SIGN_PIN", PASSPHRASE)
        patch.delenv("ROSK_SIGNING_KEY", raising=False)
        yield project


@pytest.fixture(scope="module")
def built(project: FakeProject) -> Built:
    return project.build()


def modules(dist: Path) -> dict[str, bytes]:
    """The modules of both packages."""
    found = {}
    for package in (*dist.glob("kernel/linux-*-x86.tar.gz"), *dist.glob("kernel/extra-*")):
        with tarfile.open(package) as tar:
            for member in tar:
                if member.name.endswith(".ko"):
                    file = tar.extractfile(member)
                    assert file is not None
                    found[Path(member.name).name] = file.read()
    return found


def test_every_module_is_signed(project: FakeProject, built: Built, key: Path, tmp_path: Path) -> None:
    dist = project.root / "dist"
    found = modules(dist)
    assert {"ext4.ko", "dummy.ko", "vxlan.ko"} <= set(found)
    certificate = key.with_name("first.pem.crt")
    assert [name for name, module in found.items() if not verifies(module, certificate, tmp_path)] == []
    assert 'CONFIG_MODULE_SIG_KEY="certs/rosk-modules.pem"' in (dist / "kernel/config").read_text()
    assert built.manifest["signing"]["subject"] == "CN=modules of first"
    assert not [notice for notice in built.notices if notice.kind == "not-reproducible"]
    (check,) = (each for each in json.loads((dist / "verify.json").read_text())["checks"] if _is_signatures(each))
    assert (check["status"], check["saw"]) == ("ok", f"{len(found)} signatures by 1 key")
    with tarfile.open(next(dist.glob("kernel/*-src.tgz"))) as tar:
        (name,) = (name for name in tar.getnames() if name.endswith("certs/rosk-modules.pem"))
        file = tar.extractfile(name)
        assert file is not None and file.read().decode().strip() == certificate.read_text().strip()


def _is_signatures(check: dict[str, Any]) -> bool:
    return bool(check["name"] == "module-signatures")


def test_the_key_comes_out_nowhere(project: FakeProject, built: Built, key: Path, tmp_path: Path) -> None:
    """Of all that comes out of a build, every byte: packages, images, reports, logs, layers, the engine's records."""
    secrets = secrets_of(key)
    looked: set[str] = set()

    def look(name: str, content: bytes) -> None:
        looked.add(name.partition(":")[0])
        for secret in secrets:
            assert secret not in content, name
        if content[:2] == b"\x1f\x8b":
            look(f"{name}: unpacked", gzip.decompress(content))
        elif content[257:262] == b"ustar":
            for member, packed in _packed(content):
                look(f"{name}: {member}", packed)

    with pytest.raises(AssertionError, match="hidden: unpacked"):
        look("hidden", gzip.compress(key.read_bytes()))
    for path in (project.root / "dist").rglob("*"):
        if path.is_file():
            look(path.name, path.read_bytes())
    engine = Docker()
    for tag in built.images:
        engine.save(tag, tmp_path / "image.tar")
        look(tag, (tmp_path / "image.tar").read_bytes())
    _export_layers(project, key, tmp_path)
    look("layers", (tmp_path / "layers.tar").read_bytes())
    said = subprocess.run(["docker", "buildx", "du", "--verbose"], capture_output=True, check=True)
    look("records", said.stdout)
    for tag in built.images:
        said = subprocess.run(["docker", "history", "--no-trunc", tag], capture_output=True, check=True)
        look("history", said.stdout)
    assert {"build.log", "manifest.json", "build.json", "verify.json", "report.html", "layers", "records"} <= looked


def _packed(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What of a tar archive is compressed in itself; all else was seen with the archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            if member.isreg() and (file := tar.extractfile(member)) and file.read(2) == b"\x1f\x8b":
                file.seek(0)
                yield member.name, file.read()


def _export_layers(project: FakeProject, key: Path, folder: Path) -> None:
    """What the steps of the build left, from the engine's cache."""
    loaded = load_project(project.root, arch="x86")
    view = QuietView(Console(file=io.StringIO()))
    with BuildLog(folder / "log", folder / "kept.log") as log:
        builder = Builder(project=loaded, engine=Docker(), base=project.base, view=view, log=log, folder=folder)
        context = builder.context(signing=read_key(loaded, warn=print))
        resolved = builder.resolve(context)
        dockerfile = folder / "layers.Dockerfile"
        dockerfile.write_text(context.dockerfile.read_text() + LAYERS)
        plan = graph.build_plan(
            loaded, replace(context, dockerfile=dockerfile), resolved, output=folder / "layers.tar"
        )["target"]["release"]
        builder.solve({"target": {"layers": {**plan, "target": "layers"}}}, epoch=resolved.epoch)


def test_the_same_key_gives_the_same_bits(project: FakeProject, built: Built, drop: Callable[[str], None]) -> None:
    """Compiled and signed again with caches that are empty."""
    drop("signedagain")
    again = project.build(scope="signedagain")
    assert {"compile", "signed"} <= again.result.ran
    for what in ("outputs", "images", "signing"):
        assert again.manifest[what] == built.manifest[what]


@pytest.fixture
def drop() -> Iterator[Callable[[str], None]]:
    """Has cache mounts of a scope removed at the end."""
    scopes: list[str] = []
    yield scopes.append
    for scope in scopes:
        Docker().drop_cache_mounts(scope)


def test_another_key_signs_everything_anew(
    project: FakeProject, built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = shutil.copytree(project.root / "dist", tmp_path / "old")
    monkeypatch.setenv("ROSK_SIGNING_KEY", str(make_key(tmp_path / "second.pem")))
    again = project.build()
    assert {"compile", "signed", "split"} <= again.result.ran
    found = modules(project.root / "dist")
    assert [name for name, each in found.items() if not verifies(each, tmp_path / "second.pem.crt", tmp_path)] == []
    assert again.manifest["signing"] != built.manifest["signing"]
    # No module is another one for that, and yet the releases are not the same.
    told = json.loads(run_rosk("diff", old, project.root / "dist", "--json").out)
    assert told["signing"]["changed"] and not told["same"] and not any(told["modules"].values())
    assert [told["signing"][name]["keys"][0]["name"].partition(" (")[0] for name in ("old", "new")] == [
        "modules of first",
        "modules of second",
    ]


EACH = 'test "$(find . -type f)"; for f in $(find . -type f); do {}; done'
# Their last byte is one of the signature.
ONE_BYTE = EACH.format('printf x | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") - 1)) conv=notrunc')


@pytest.mark.parametrize(
    "script", [ONE_BYTE, pytest.param(EACH.format(': > "$f"'), marks=pytest.mark.heavy)], ids=["one byte", "emptied"]
)
def test_signatures_that_were_touched_are_made_again(
    project: FakeProject, key: Path, tmp_path: Path, drop: Callable[[str], None], script: str
) -> None:
    scope = secrets.token_hex(6)
    drop(scope)
    project.build(scope)
    in_mount(project, "signatures", script, scope=scope)
    source("sound/core/snd.c", '"snd"', f'"{scope}"').apply(project)
    assert "signed" in project.build(scope).result.ran
    found = modules(project.root / "dist")
    certificate = key.with_name("first.pem.crt")
    assert [name for name, each in found.items() if not verifies(each, certificate, tmp_path)] == []
