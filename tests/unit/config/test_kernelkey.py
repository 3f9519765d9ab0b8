from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.kernelkey import other_kernel, settings_with
from builder.errors import InputError
from builder.project import load_project
from builder.settings import load_settings
from tests.unit.projects import SETTINGS, write_project

DEBIAN = SETTINGS.replace('source: kernel.org\n  version: "6.12.64"', 'source: debian\n  version: "6.12" # trixie\'s')


def project_of(folder: Path, settings: str = SETTINGS) -> Path:
    return write_project(folder, **{"config/rosk.yaml": settings})


def test_a_version_means_what_the_project_takes_its_kernels_from(tmp_path: Path) -> None:
    project = load_project(project_of(tmp_path / "a", DEBIAN), arch="x86")
    other, keys = other_kernel(project, "6.18")
    assert (other.source.package, keys) == ("linux-source-6.18", {"source": "debian", "version": "6.18"})
    other, keys = other_kernel(project, "v6.18.3")
    assert (other.source.version, keys["source"]) == ("6.18.3", "kernel.org")
    project = load_project(project_of(tmp_path / "b"), arch="x86")
    assert other_kernel(project, "6.18")[0].source.version == "6.18"
    tree = tmp_path / "linux"
    tree.mkdir()
    other, keys = other_kernel(project, None, tree=tree)
    assert (other.source.kind, other.source.path, keys) == ("tree", tree, {"source": "tree", "path": "../linux"})


def test_another_kernel_comes_with_the_toolchain_of_its_series(tmp_path: Path) -> None:
    """What `auto` means, and the suite that Debian's source is taken from."""
    project = load_project(project_of(tmp_path, DEBIAN.replace("suite: trixie", "suite: auto")), arch="x86")
    for version, suite in (("6.1", "bookworm"), ("6.12", "trixie"), ("5.10", "bullseye")):
        project, _ = other_kernel(project, version)
        assert project.toolchain is not None
        assert project.toolchain.suite == project.settings.toolchain.suite == suite


def test_a_kernel_that_is_none_is_refused(tmp_path: Path) -> None:
    project = load_project(project_of(tmp_path), arch="x86")
    for version in ("6.18-rc1", "latest", "6"):
        with pytest.raises(InputError, match="not a release"):
            other_kernel(project, version)
    with pytest.raises(InputError, match="name one kernel"):
        other_kernel(project, None)
    with pytest.raises(InputError, match="name one kernel"):
        other_kernel(project, "6.18.3", tree=tmp_path)
    with pytest.raises(InputError, match="no such file"):
        other_kernel(project, None, tarball=tmp_path / "none.tar.xz")


def test_only_the_lines_of_the_kernel_change(tmp_path: Path) -> None:
    root = project_of(tmp_path, DEBIAN)
    text = settings_with(root, {"source": "debian", "version": "6.18"})
    assert text == DEBIAN.replace('"6.12" #', '"6.18" #')
    text = settings_with(root, {"source": "kernel.org", "version": "6.18.3"})
    assert text == DEBIAN.replace("source: debian", "source: kernel.org").replace('"6.12" #', '"6.18.3" #')


def test_a_checksum_goes_and_a_path_comes(tmp_path: Path) -> None:
    pinned = SETTINGS.replace('"6.12.64"\n', f'"6.12.64"\n  sha256: {"a" * 64}\n')
    root = project_of(tmp_path, pinned)
    assert settings_with(root, {"source": "kernel.org", "version": "6.12.65"}) == SETTINGS.replace("6.12.64", "6.12.65")
    text = settings_with(root, {"source": "tree", "path": "../my linux"})
    (tmp_path / "new.yaml").write_text(text)
    kernel = load_settings(tmp_path / "new.yaml").kernel
    assert (kernel.source, kernel.version, str(kernel.path), kernel.sha256) == ("tree", None, "../my linux", None)


def test_a_file_in_another_style_is_left_to_the_user(tmp_path: Path) -> None:
    flow = SETTINGS.replace(
        'kernel:\n  source: kernel.org\n  version: "6.12.64"', 'kernel: {source: kernel.org, version: "6.12.64"}'
    )
    root = project_of(tmp_path, flow)
    with pytest.raises(InputError, match="not one key a line") as caught:
        settings_with(root, {"source": "kernel.org", "version": "6.12.65"})
    assert "kernel.version: 6.12.65" in caught.value.hint
