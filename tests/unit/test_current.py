"""When a release counts as what a build would give again: its key, and what has to lie in `dist` for it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder import release
from builder.context import dockerfiles, write_context
from builder.current import Current, find_current, own_code, release_key
from builder.engine.base import BaseImage
from builder.errors import InputError
from builder.graph import Context, Resolved
from builder.inputs.folders import source_folder
from builder.patches.limits import limit_context
from builder.project import Project, load_project
from builder.report.kept import write_kept
from builder.repro.preconditions import check_unchanged
from tests.unit.projects import SETTINGS, write_project

V = "6.12.64-acme"
BASE = BaseImage(ref="b", id="sha256:1", origin="local")
RESOLVED = Resolved(kernel_version="6.12.64", epoch=1, packages={"gcc": "14"}, base=BASE.ref, base_digest=BASE.id)
COMMAND = ("rosk", "build", "--arch", "x86")
TARBALL = SETTINGS.replace('kernel.org\n  version: "6.12.64"', "tarball\n  path: linux.tar")
OTHERS = "From: a\nX-Rosk-Kernel: >=6.18\n\n--- a/c\n+++ b/c\n@@ -1 +1 @@\n-x\n+y\n"
"""A patch that is not meant for the kernel version of these tests."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    changed = {"config/rosk.yaml": TARBALL, "patches/x86/0003-c.patch": OTHERS, "hooks/fix.sh": "#!/bin/sh\n"}
    root = write_project(tmp_path / "project", **changed)
    (root / "hooks/fix.sh").chmod(0o755)
    _write_tarball(root, "one")
    return root


def _write_tarball(root: Path, text: str) -> None:
    (root / "Makefile").write_text(text)
    with tarfile.open(root / "linux.tar", "w") as tar:
        tar.add(root / "Makefile", "linux-6.12.64/Makefile")
    (root / "Makefile").unlink()


def staged(project: Project, folder: Path) -> Context:
    """The context of a build of this project whose staging folder is `folder`."""
    write_context(project, folder / release.CONTEXT)
    limit_context(project.inputs, project.root, folder / release.CONTEXT, RESOLVED.kernel_version)
    source, _ = source_folder(project, print)
    return Context(folder=folder / release.CONTEXT, dockerfile=dockerfiles() / "kernel.Dockerfile", source=source)


def key(
    root: Path, *, base: BaseImage = BASE, resolved: Resolved = RESOLVED, command: Sequence[str] = COMMAND
) -> str | None:
    project = load_project(root, arch="x86")
    with release.staging(project.dist) as folder:
        context = staged(project, folder)
        return release_key(project, context, resolved, base, command=command, code="code")


def edited(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        (root / name).write_text(change((root / name).read_text()))

    return edit


def more(text: str) -> Callable[[str], str]:
    return lambda before: before + text


EDITS: dict[str, Callable[[Path], object]] = {
    "a setting": edited("config/rosk.yaml", more("suffix: other\n")),
    "the registries, which the manifest has": edited("config/rosk.yaml", lambda text: text.replace("5001", "5009")),
    "as_of": edited("config/rosk.yaml", lambda text: text.replace("trixie\n", "trixie\n  as_of: '2026-01-01'\n")),
    "the config": edited("config/x86/kernel-config", more("# a comment\n")),
    "a list": edited("lists/x86/modules.list", more("# a comment\n")),
    "a list that is new and empty": lambda root: (root / "lists/x86/firmware.list").touch(),
    "a patch": edited("patches/x86/0001-a.patch", lambda text: text.replace("+y", "+z")),
    "a patch's name": lambda root: (root / "patches/x86/0001-a.patch").rename(root / "patches/x86/0009-a.patch"),
    "a patch for other versions": edited("patches/x86/0003-c.patch", lambda text: text.replace("+y", "+z")),
    "no patch for other versions": lambda root: (root / "patches/x86/0003-c.patch").unlink(),
    "the versions of a patch": edited("patches/x86/0003-c.patch", lambda text: text.replace(">=6.18", ">=6.6")),
    "a hook": edited("hooks/fix.sh", more("true\n")),
    "a hook's executable bit": lambda root: (root / "hooks/fix.sh").chmod(0o644),
    "the tarball's content": lambda root: _write_tarball(root, "two"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_key_follows_every_input(root: Path, edit: str) -> None:
    before = key(root)
    assert before is not None
    EDITS[edit](root)
    assert key(root) not in (before, None)


def test_the_key_follows_what_is_no_file_of_the_project(root: Path) -> None:
    keys = {
        key(root),
        key(root, base=replace(BASE, id="sha256:2")),
        key(root, resolved=replace(RESOLVED, epoch=2)),
        key(root, resolved=replace(RESOLVED, packages={"gcc": "15"})),
        key(root, command=(*COMMAND, "--strict")),
    }
    assert len(keys) == 5 and None not in keys


def test_times_and_files_that_are_no_input_do_not_count(root: Path) -> None:
    before = key(root)
    for path in root.rglob("*"):
        if path.is_file():
            path.touch()
    (root / "README").write_text("more\n")
    assert key(root) == before


def test_a_project_that_was_moved(root: Path) -> None:
    """The manifest names the tarball's place: `rosk repro` asks for a build when it is another, which has to help."""
    before = key(root)
    moved = root.with_name("moved")
    root.rename(moved)
    assert key(moved) != before


@pytest.mark.parametrize(("kind", "path"), [("kernel", "tree"), ("firmware", "folder")])
def test_what_only_the_engine_can_compare_has_no_key(root: Path, kind: str, path: str) -> None:
    (root / "files").mkdir()
    for name in ("Makefile", "Kconfig"):
        (root / "files" / name).touch()
    old = "source: tarball\n  path: linux.tar" if kind == "kernel" else "source: none"
    edited("config/rosk.yaml", lambda text: text.replace(old, f"source: {path}\n  path: files"))(root)
    assert key(root) is None


def test_the_page_of_the_report_is_rosk_s_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report/web").mkdir(parents=True)
    (tmp_path / "build.py").touch()
    monkeypatch.setattr("builder.current._PACKAGE", tmp_path)
    seen = [own_code()]
    for name in ("build.py", "report/web/page.css"):
        (tmp_path / name).write_text(" ")
        seen.append(own_code())
    assert len(set(seen)) == 3


def test_the_manifest_has_what_was_built_from_not_what_was_edited_since(root: Path) -> None:
    """An edit while the kernel compiles is one for the next build."""
    project = load_project(root, arch="x86")
    before = release.describe(root / "lists/x86/modules.list")
    with release.staging(project.dist) as folder:
        context = staged(project, folder)
        told = release_key(project, context, RESOLVED, BASE, command=COMMAND, code="code")
        edited("lists/x86/modules.list", more("# for the next build\n"))(root)
        manifest = make(project, folder, "one")
        assert release_key(project, context, RESOLVED, BASE, command=COMMAND, code="code") == told
    assert manifest["inputs"]["lists/modules.list"] == before
    with pytest.raises(InputError, match="not what the release"):
        check_unchanged(load_project(root, arch="x86"), manifest)


class Engine:
    """Stands in for the engine: the images that it has."""

    def __init__(self, images: dict[str, str]) -> None:
        self.images = images

    def image_ids(self, references: Sequence[str]) -> dict[str, str]:
        return {name: self.images[name] for name in references if name in self.images}


ENGINE = Engine({f"acme/os-kernel:{V}": "sha256:2"})


def make(project: Project, folder: Path, word: str) -> dict[str, Any]:
    """A whole staged release whose files say `word`, and whose key is that too."""
    (folder / "kernel").mkdir()
    for name in release.file_names(project, V):
        (folder / "kernel" / name).write_text(word)
    epoch = replace(RESOLVED, epoch=len(word))
    manifest = release.describe_release(
        project, epoch, folder, sums={}, images=ENGINE.images, command=("rosk", "build", word)
    )
    write_kept(folder, release.BUILD, {"key": word, "notices": []})
    write_kept(folder, release.VERIFY, {"checks": []})
    (folder / release.REPORT).write_text(word)
    return manifest


def current(project: Project, word: str) -> Current | None:
    return find_current(project, ENGINE, word)  # type: ignore[arg-type]


@pytest.fixture
def project(root: Path) -> Project:
    project = load_project(root, arch="x86")
    with release.staging(project.dist) as folder:
        make(project, folder, "one")
        release.commit(project.dist, folder)
    return project


def test_a_release_that_is_current(project: Project) -> None:
    found = current(project, "one")
    assert found is not None and found.manifest["release"] == V
    assert current(project, "two") is None


@pytest.mark.parametrize("name", [*release.NAMES, "kernel/config"])
@pytest.mark.parametrize("text", [None, "", "{}", "[]", "\xff"])
def test_a_release_that_is_not_whole(project: Project, name: str, text: str | None) -> None:
    if text is None:
        (project.dist / name).unlink()
    else:
        (project.dist / name).write_text(text, encoding="latin-1")
    # The report's page is for people alone: that it is there is enough.
    assert (current(project, "one") is None) is (name != release.REPORT or text is None)


def test_a_manifest_of_another_shape(project: Project) -> None:
    for path in (project.dist / "kernel").iterdir():
        path.unlink()
    (project.dist / release.MANIFEST).write_text('{"outputs": [], "images": []}')
    assert current(project, "one") is None


@pytest.mark.parametrize("number", range(3 + len(release.NAMES)))
def test_killed_while_it_takes_its_place(project: Project, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whatever a killed build leaves is one release or counts as none: never the files of one for another's key."""

    class Killed(BaseException):
        pass

    left = iter([False] * number + [True])
    rename, replace_ = Path.rename, Path.replace

    def killed(real: Callable[..., Path]) -> Callable[..., Path]:
        def moved(path: Path, target: Path) -> Path:
            if next(left, False):
                raise Killed
            return real(path, target)

        return moved

    with release.staging(project.dist) as folder:
        make(project, folder, "two")
        with monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(Path, "rename", killed(rename))
            patched.setattr(Path, "replace", killed(replace_))
            release.commit(project.dist, folder)
    for word in ("one", "two"):
        found = current(project, word)
        if found is not None:
            assert found.manifest["reproduce"][-1] == word
            assert {path.read_text() for path in (project.dist / "kernel").iterdir()} == {word}
            assert json.loads((project.dist / release.BUILD).read_text())["key"] == word
            assert word in (project.dist / release.REPORT).read_text()
    whole = {0: "one", 2 + len(release.NAMES): "two"}.get(number)
    if whole:
        assert current(project, whole)
