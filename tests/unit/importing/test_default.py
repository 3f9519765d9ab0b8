"""`rosk init`: a new project from the default one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import builder.cli.project  # noqa: F401 - the commands are registered by it
from builder.cli.app import app
from builder.errors import InputError
from builder.importing import default
from builder.importing.default import default_project, init_project
from builder.project import load_project
from builder.settings import load_settings

ROOT = Path(__file__).parents[3]


def test_a_new_project(tmp_path: Path) -> None:
    report = init_project(tmp_path / "acme")
    project = load_project(tmp_path / "acme", arch="x86")
    theirs = load_project(ROOT, arch="x86")
    assert project.org == "acme"
    assert project.localversion == "-acme"
    assert project.source == theirs.source
    copied = {name: path.read_bytes() for name, path in project.inputs.items()}
    assert copied == {name: path.read_bytes() for name, path in theirs.inputs.items()}
    assert (tmp_path / "acme/.gitignore").read_text() == "/dist/\n"
    text = (tmp_path / "acme/config/rosk.yaml").read_text()
    assert "-rosk" not in text
    assert "# suffix: acme\n" in text
    assert report.steps == [f"rosk plan -C {tmp_path}/acme", f"rosk build -C {tmp_path}/acme"]


def test_only_the_org_differs(tmp_path: Path) -> None:
    init_project(tmp_path / "acme")
    made = load_settings(tmp_path / "acme/config/rosk.yaml")
    assert made.model_copy(update={"org": "rosk"}) == load_settings(ROOT / "config/rosk.yaml")


def test_another_kernel(tmp_path: Path) -> None:
    init_project(tmp_path / "one", version="6.12.64")
    kernel = load_settings(tmp_path / "one/config/rosk.yaml").kernel
    assert (kernel.source, kernel.version) == ("kernel.org", "6.12.64")
    assert (kernel.sha256 or "").startswith("d1ad94a3")
    init_project(tmp_path / "two", version="v6.12.65")
    assert load_settings(tmp_path / "two/config/rosk.yaml").kernel.sha256 is None


@pytest.mark.parametrize("name", ["Acme", "acme kernels", "localhost", "a.b", "a--b"])
def test_a_name_that_is_no_org(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a name for images") as error:
        init_project(tmp_path / name)
    assert "--org" in error.value.hint
    with pytest.raises(InputError, match="is not a name for images"):
        init_project(tmp_path / "acme", org=name)
    assert list(tmp_path.iterdir()) == []
    init_project(tmp_path / name, org="acme")
    assert load_project(tmp_path / name, arch="x86").org == "acme"


def test_an_org_that_is_too_long_for_a_release(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too long for a kernel release"):
        init_project(tmp_path / "acme", org="a" * 50)


def test_no_release(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a release of kernel"):
        init_project(tmp_path / "acme", version="latest")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/mine").touch()
    with pytest.raises(InputError, match="the folder is not empty") as error:
        init_project(tmp_path / "acme")
    assert "--force" not in error.value.hint


def test_the_default_project_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site/builder"
    for name in ("config", "lists"):
        shutil.copytree(ROOT / name, package / "default" / name)
    monkeypatch.setattr(default, "_PACKAGE", package)
    assert default_project() == package / "default"
    init_project(tmp_path / "acme")
    load_project(tmp_path / "acme", arch="x86")
    shutil.rmtree(package / "default")
    with pytest.raises(InputError, match="default project is missing"):
        init_project(tmp_path / "other")


def test_hooks_and_patches_of_the_default_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checkout/builder"
    for name in ("config", "lists"):
        shutil.copytree(ROOT / name, package.parent / name)
    for name, mode in (("hooks/01", 0o755), ("hooks/off", 0o644)):
        (package.parent / name).parent.mkdir(exist_ok=True)
        (package.parent / name).write_text("#!/bin/sh\n")
        (package.parent / name).chmod(mode)
    monkeypatch.setattr(default, "_PACKAGE", package)
    init_project(tmp_path / "acme")
    inputs = load_project(tmp_path / "acme", arch="x86").inputs
    assert "hooks/01" in inputs
    assert "hooks/off" not in inputs
    assert (tmp_path / "acme/hooks/off").is_file()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "acme", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["facts"]["org"] == "acme"
    done = CliRunner().invoke(app, ["init", ".", "--org", "other"])
    assert isinstance(done.exception, InputError)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    done = CliRunner().invoke(app, ["init", "."])
    assert done.exit_code == 0, done.output
    assert load_project(tmp_path / "empty", arch="x86").org == "empty"
