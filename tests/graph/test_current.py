"""A build that would give the release that is there asks the engine for nothing; one that would not, does."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.build import Built
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.project import load_project
from builder.repro.preconditions import check_unchanged
from tests.graph.conftest import FakeProject, make_fake, use, write_archive

pytestmark = pytest.mark.engine


@pytest.fixture
def solves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by a line with each solve: the targets."""
    found: list[str] = []
    bake = Docker.bake

    def counted(self: Docker, plan: dict[str, dict[str, object]], **options: object) -> dict[str, object]:
        found.append(" ".join(plan["target"]))
        return bake(self, plan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Docker, "bake", counted)
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def project(base: BaseImage, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeProject]:
    """One whose inputs are files: their content is known without an engine. Each test builds it first."""
    folder = tmp_path_factory.mktemp("current")
    fake = make_fake(base, folder / "project", secrets.token_hex(4))
    use(fake, source="tarball", path=str(archive))
    fake.edit("config/rosk.yaml", lambda text: text.partition("firmware:")[0])
    fake.write("lists/x86/firmware.list", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSK_CACHE", str(folder / "cache"))
        yield fake


def files(project: FakeProject) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.root / "dist/kernel").iterdir()}


def images(built: Built) -> dict[str, str]:
    return Docker().image_ids(list(built.images))


def test_nothing_changed(project: FakeProject, solves: list[str]) -> None:
    first = project.build()
    log = (project.root / "dist/build.log").read_bytes()
    before = files(project)
    assert solves
    solves.clear()
    (project.root / "dist/rejected/kernel").mkdir(parents=True)  # of inputs that are as they were again
    second = project.build()
    assert solves == []
    assert not (project.root / "dist/rejected").exists()
    assert (second.result.ran, second.manifest, second.notices) == (frozenset(), first.manifest, first.notices)
    assert files(project) == before
    assert (project.root / "dist/build.log").read_bytes() == log


def test_the_manifest_names_the_archive(project: FakeProject, archive: Path) -> None:
    """By its checksum, also where nobody asked for one; and a proof of reproducibility takes that for no change."""
    built = project.build()
    assert built.manifest["source"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    check_unchanged(load_project(project.root, arch="x86"), built.manifest)


def test_a_time_alone_is_no_change(project: FakeProject, solves: list[str]) -> None:
    project.build()
    solves.clear()
    for path in (*(project.root / "config").rglob("*.*"), *(project.root / "lists/x86").iterdir()):
        path.touch()
    project.build()
    assert solves == []


def _tamper(project: FakeProject, _: Built) -> None:
    package = next((project.root / "dist/kernel").glob("linux-*-x86.tar.gz"))
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    package.write_bytes(data)


def _lose_an_image(_: FakeProject, built: Built) -> None:
    subprocess.run(["docker", "rmi", built.images[0]], check=True, capture_output=True)


def _another_image(_: FakeProject, built: Built) -> None:
    subprocess.run(["docker", "tag", built.images[0], built.images[2]], check=True)


Change = Callable[[FakeProject, Built], None]
CHANGES: dict[str, Change] = {
    "a file of the release is damaged": _tamper,
    "the record": lambda project, _: project.write("dist/build.json", "{}"),
    "an image is another": _another_image,
}
# What `find_current` makes of each of them is seen in tests/unit/test_current.py.
MORE_CHANGES: dict[str, Change] = {
    "a file of the release is gone": lambda project, _: (project.root / "dist/kernel/modules-main.list").unlink(),
    "a file more": lambda project, _: project.write("dist/kernel/more", ""),
    "the manifest": lambda project, _: project.edit("dist/manifest.json", lambda text: text + " "),
    "the list of images": lambda project, _: project.write("dist/images", ""),
    "what the checks saw": lambda project, _: (project.root / "dist/verify.json").unlink(),
    "the report": lambda project, _: (project.root / "dist/report.html").unlink(),
    "an image is gone": _lose_an_image,
}


@pytest.mark.parametrize(
    "changes", [CHANGES, pytest.param(MORE_CHANGES, marks=pytest.mark.heavy)], ids=["some", "more"]
)
def test_what_is_not_as_it_was_left_is_made_again(
    project: FakeProject, solves: list[str], changes: dict[str, Change]
) -> None:
    built = project.build()
    before, there = files(project), images(built)
    for change, make in changes.items():
        make(project, built)
        solves.clear()
        again = project.build()
        assert solves, change
        assert (files(project), images(again)) == (before, there), change
        assert again.manifest == built.manifest, change


def test_an_input_counts(project: FakeProject, solves: list[str]) -> None:
    """Each of them does: `test_the_key_follows_every_input` in tests/unit/test_current.py."""
    project.build()
    project.edit("lists/x86/modules.list", lambda text: text + "# a comment\n")
    solves.clear()
    project.build()
    assert solves
    solves.clear()
    project.build()
    assert solves == []
