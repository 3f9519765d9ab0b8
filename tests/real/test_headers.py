"""`rosk headers test` on the real headers package: clean consoles, real external modules, and what it has to refuse."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.engine.base import resolve_base
from builder.engine.docker import Docker
from builder.errors import BuildError
from tests.conftest import Rosk, run_rosk
from tests.contract import Release

pytestmark = pytest.mark.real

FETCH = """\
FROM {base}
RUN apt-get -q update && cd /tmp && apt-get -q download {package} && dpkg-deb -x *.deb /package
FROM scratch
COPY --from=0 /package/usr/src /
"""


def headers_test(dist: Path, *words: str | Path) -> tuple[Rosk, dict[str, Any]]:
    done = run_rosk("headers", "test", dist, "--json", *words)
    return done, json.loads(done.out)


def modinfo(path: Path, field: str) -> str:
    done = subprocess.run(["modinfo", "-F", field, path], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def symbol_versions(path: Path) -> dict[str, str]:
    """What a module was built against: symbol → checksum, as kmod reads it."""
    done = subprocess.run(["modprobe", "--dump-modversions", path], capture_output=True, text=True, check=True)
    return {name: crc for crc, name in (line.split() for line in done.stdout.splitlines())}


@pytest.fixture(scope="module")
def exported(release: Release) -> dict[str, str]:
    """Module.symvers of the headers package: symbol → checksum."""
    with tarfile.open(release.package("headers")) as tar:
        file = tar.extractfile("./Module.symvers")
        assert file is not None
        lines = file.read().decode().splitlines()
    return {name: crc for crc, name, *_ in (line.split("\t") for line in lines)}


@pytest.mark.parametrize(
    ("console", "libc"),
    [
        ("trixie", "glibc 2.41"),
        ("musl", "musl 1.2.5"),
        pytest.param("bookworm", "glibc 2.36", marks=pytest.mark.heavy),
        pytest.param("bullseye", "glibc 2.31", marks=pytest.mark.heavy),
    ],
)
def test_a_module_builds_in_a_clean_console(
    release: Release, exported: dict[str, str], tmp_path: Path, console: str, libc: str
) -> None:
    """And what was built loads into the release's own kernel."""
    done, found = headers_test(release.dist, "--suite", console, "--keep", tmp_path / "kept", "--boot")
    assert done.code == 0, done.err
    assert "1 module loaded into" in done.err
    (tried,) = found["consoles"]
    assert (tried["ok"], tried["libc"], tried["warnings"]) == (True, libc, [])
    module = tmp_path / "kept" / console / "modules/rosk_probe.ko"
    assert modinfo(module, "vermagic").split()[0] == release.v
    used = symbol_versions(module)
    assert {"register_netdevice_notifier", "kobject_create_and_add", "kernel_kobj"} <= set(used)
    assert {name: exported.get(name) for name in used} == used


@pytest.mark.parametrize(
    ("package", "module", "needs"),
    [
        ("dm-writeboost-dkms", "dm-writeboost", {"dm-mod"}),
        pytest.param("vhba-dkms", "vhba", set[str](), marks=pytest.mark.heavy),
    ],
)
def test_real_external_modules_build(
    release: Release, exported: dict[str, str], tmp_path: Path, package: str, module: str, needs: set[str]
) -> None:
    """What Debian packages for DKMS: others' code, one of a module on symbols that modules export."""
    source = fetch(package, tmp_path)
    done, found = headers_test(release.dist, "--suite", "trixie", "--module", source, "--keep", tmp_path / "kept")
    assert done.code == 0, done.err
    assert found["consoles"][0]["modules"] == [f"{module}.ko"]
    built = tmp_path / "kept/trixie/modules" / f"{module}.ko"
    assert needs <= set(modinfo(built, "depends").replace("_", "-").split(","))
    used = symbol_versions(built)
    assert {name: exported.get(name) for name in used} == used


def fetch(package: str, folder: Path) -> Path:
    """The module's source in a package of Debian."""
    base = resolve_base(Docker(), "trixie", "auto", allow_install=True, say=print).ref
    (folder / "Dockerfile").write_text(FETCH.format(base=base, package=package))
    out = folder / "source"
    argv: list[str | Path] = ["docker", "buildx", "build", "--output", f"type=local,dest={out}", folder]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (source,) = out.iterdir()
    return source


def test_a_warning_is_a_failure(release: Release, tmp_path: Path) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := unused.o\n")
    (tmp_path / "unused.c").write_text(
        '#include <linux/module.h>\nstatic int unused;\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("unused");\n'
    )
    done, found = headers_test(release.dist, "--suite", "trixie", "--module", tmp_path)
    assert done.code == BuildError.exit_code
    (tried,) = found["consoles"]
    assert tried["modules"] == ["unused.ko"]
    assert "'unused' defined but not used" in tried["problems"][0]
    assert "Debian 13 (trixie)" in done.err


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        pytest.param("./scripts/mod/modpost", "scripts/mod/modpost", marks=pytest.mark.heavy),
        pytest.param("./include/linux/kobject.h", "linux/kobject.h", marks=pytest.mark.heavy),
        ("./Module.symvers", "Module.symvers"),
    ],
)
def test_headers_that_lack_something(release: Release, tmp_path: Path, lost: str, said: str) -> None:
    dist = doctored(release, tmp_path / "dist", lambda member: member.name != lost)
    done, found = headers_test(dist, "--suite", "trixie")
    assert done.code == BuildError.exit_code
    assert any(said in problem for problem in found["consoles"][0]["problems"])


def doctored(release: Release, folder: Path, keep: Callable[[tarfile.TarInfo], bool]) -> Path:
    """A release whose headers package has other members; of the others there are only the names."""
    (folder / "kernel").mkdir(parents=True)
    (folder / "kernel" / release.package("kernel").name).touch()
    target = folder / "kernel" / release.package("headers").name
    with tarfile.open(release.package("headers")) as tar, tarfile.open(target, "w:gz", compresslevel=1) as changed:
        for member in tar:
            if keep(member):
                changed.addfile(member, tar.extractfile(member) if member.isreg() else None)
    return folder
