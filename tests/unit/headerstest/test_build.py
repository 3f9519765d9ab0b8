"""What goes into a console, and what is read of that which comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builder.context import dockerfiles
from builder.errors import InputError
from builder.headerstest.build import PROBE, console_plan, libc_name, read_result, write_context
from builder.headerstest.consoles import DEFAULT, find_consoles
from builder.headerstest.run import compiled_by_clang
from builder.releasefolder import ReleaseFolder
from tests.unit.headerstest.test_makelog import CLEAN, DIFFERS, MAKEFILES, TOO_OLD
from tests.unit.stages.elfs import write_module

V = "6.12.118-acme"
TEXT = (dockerfiles() / "headers-test.Dockerfile").read_text()
(BULLSEYE,) = find_consoles(["bullseye"])


def write_result(
    folder: Path, log: str = CLEAN, *, code: int = 0, modules: tuple[str, ...] = ("x",), v: str = V
) -> Path:
    """Write what console.sh leaves."""
    (folder / "modules").mkdir(parents=True)
    (folder / "compiler").write_text("gcc (Debian 10.2.1-6) 10.2.1 20210110\nCopyright\n")
    (folder / "libc").write_text("ldd (Debian GLIBC 2.31-13+deb11u14) 2.31\nCopyright\n")
    (folder / "log").write_text(log)
    (folder / "code").write_text(f"{code}\n")
    for name in modules:
        write_module(folder / "modules", f"{name}.ko", vermagic=f"{v} SMP mod_unload ")
    if code:
        (folder / "makefiles").write_text(MAKEFILES)
    return folder


@pytest.fixture
def release(tmp_path: Path) -> ReleaseFolder:
    package = tmp_path / f"build-linux-{V}-x86.tar.gz"
    package.write_bytes(b"package")
    return ReleaseFolder(root=tmp_path, kernel_folder=tmp_path, v=V, a="x86", packages={"headers": package})


def test_a_clean_build(tmp_path: Path) -> None:
    tried = read_result(BULLSEYE, write_result(tmp_path, DIFFERS + CLEAN), V)
    assert tried.ok
    assert (tried.compiler, tried.libc) == ("gcc (Debian 10.2.1-6) 10.2.1 20210110", "glibc 2.31")
    assert tried.other_compiler == "gcc (Debian 14.2.0-19) 14.2.0"
    assert [path.name for path in tried.modules] == ["x.ko"]


def test_a_compiler_that_is_too_old_is_said_with_the_options(tmp_path: Path) -> None:
    tried = read_result(BULLSEYE, write_result(tmp_path, DIFFERS + TOO_OLD, code=2, modules=()), V)
    assert tried.problems == (
        "its compiler does not know -ftrivial-auto-var-init=zero, which is used for CONFIG_INIT_STACK_ALL_ZERO",
        "its compiler does not know -fmin-function-alignment=16, "
        "which is used for CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT",
    )


@pytest.mark.parametrize(
    ("log", "code", "modules", "v", "problem"),
    [
        ("x.c:1: fatal error: linux/a.h: No such file or directory\n", 2, (), V, "x.c:1: fatal error: linux/a.h"),
        ("Killed\n", 137, (), V, "make ended with code 137"),
        (CLEAN, 0, (), V, "make built no module"),
        (CLEAN + "x.o: warning: objtool: f()+0x1\n", 0, ("x",), V, "a warning: x.o: warning: objtool: f()+0x1"),
        (CLEAN, 0, ("x",), "6.12.117-acme", "x.ko has the vermagic '6.12.117-acme SMP mod_unload '"),
    ],
)
def test_what_is_wrong(tmp_path: Path, log: str, code: int, modules: tuple[str, ...], v: str, problem: str) -> None:
    tried = read_result(BULLSEYE, write_result(tmp_path, log, code=code, modules=modules, v=v), V)
    assert not tried.ok
    assert len(tried.problems) == 1
    assert tried.problems[0].startswith(problem)


def test_a_file_that_is_no_module(tmp_path: Path) -> None:
    write_result(tmp_path)
    (tmp_path / "modules" / "y.ko").write_bytes(b"text")
    assert read_result(BULLSEYE, tmp_path, V).problems == (f"{tmp_path}/modules/y.ko is not an ELF file",)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("ldd (Debian GLIBC 2.41-12+deb13u5) 2.41\nCopyright (C) 2024\n", "glibc 2.41"),
        ("musl libc (x86_64)\nVersion 1.2.5\nDynamic Program Loader\n", "musl 1.2.5"),
        ("musl libc (x86_64)\n", "musl"),
        ("sh: ldd: not found\n", "sh: ldd: not found"),
        ("", ""),
    ],
)
def test_the_c_library(said: str, name: str) -> None:
    assert libc_name(said) == name


def test_the_context_has_all_that_the_stages_copy(tmp_path: Path, release: ReleaseFolder) -> None:
    write_context(release, PROBE, tmp_path / "context")
    copied = re.findall(r"^COPY (?!--from)(\S+) ", TEXT, re.M)
    assert len(copied) == 4
    for name in copied:
        assert (tmp_path / "context" / name).exists(), name
    assert (tmp_path / "context/headers" / release.packages["headers"].name).read_bytes() == b"package"
    assert {path.name for path in (tmp_path / "context/module").iterdir()} == {path.name for path in PROBE.iterdir()}


def test_links_of_a_module_are_not_followed(tmp_path: Path, release: ReleaseFolder) -> None:
    module = tmp_path / "module"
    module.mkdir()
    (module / "Makefile").write_text("obj-m := x.o\n")
    (module / "x.c").symlink_to("/etc/passwd")
    write_context(release, module, tmp_path / "context")
    assert (tmp_path / "context/module/x.c").is_symlink()


def test_a_folder_that_is_no_module(tmp_path: Path, release: ReleaseFolder) -> None:
    with pytest.raises(InputError, match="no Kbuild or Makefile"):
        write_context(release, tmp_path, tmp_path / "context")


def test_a_release_without_headers(tmp_path: Path) -> None:
    release = ReleaseFolder(root=tmp_path, kernel_folder=tmp_path, v=V, a="x86", packages={})
    with pytest.raises(InputError, match="no headers package"):
        write_context(release, PROBE, tmp_path / "context")


@pytest.mark.parametrize("name", DEFAULT)
def test_the_plan_fits_the_dockerfile(tmp_path: Path, release: ReleaseFolder, name: str) -> None:
    (console,) = find_consoles([name])
    plan = console_plan(release, console, "base", context=tmp_path, output=tmp_path / "out.tar")
    target = plan["target"]["result"]
    assert set(target["args"]) == set(re.findall(r"^ARG (\w+)", TEXT, re.M))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", TEXT, re.M))
    assert {target["target"], f"console-{target['args']['CONSOLE']}"} <= stages


@pytest.mark.parametrize(("suffix", "packages"), [(".gz", ""), (".zst", "zstd"), (".xz", "xz-utils")])
def test_what_unpacks_the_package_is_installed(tmp_path: Path, suffix: str, packages: str) -> None:
    path = tmp_path / f"build-linux-{V}-x86.tar{suffix}"
    release = ReleaseFolder(root=tmp_path, kernel_folder=tmp_path, v=V, a="x86", packages={"headers": path})
    plan = console_plan(release, BULLSEYE, "base", context=tmp_path, output=tmp_path / "out.tar")
    assert plan["target"]["result"]["args"]["UNPACKER"] == packages


def test_a_kernel_by_clang_has_its_modules_built_by_clang(tmp_path: Path) -> None:
    consoles = find_consoles([], llvm=True)
    assert [console.name for console in consoles] == [name for name in DEFAULT if name != "musl"]
    assert all({"clang", "lld", "llvm"} <= set(console.packages) for console in consoles)
    path = tmp_path / f"build-linux-{V}-x86.tar.gz"
    release = ReleaseFolder(root=tmp_path, kernel_folder=tmp_path, v=V, a="x86", packages={"headers": path})
    plan = console_plan(release, consoles[0], "base", context=tmp_path, output=tmp_path / "out.tar")
    assert plan["target"]["result"]["args"]["LLVM"] == "1"
    with pytest.raises(InputError, match="musl has no clang"):
        find_consoles(["musl"], llvm=True)
    (tmp_path / "config").write_text("CONFIG_CC_IS_GCC=y\n")
    assert not compiled_by_clang(release)
    (tmp_path / "config").write_text("CONFIG_CC_IS_CLANG=y\n")
    assert compiled_by_clang(release)


def test_consoles() -> None:
    assert [console.name for console in find_consoles([])] == list(DEFAULT)
    assert [console.title for console in find_consoles(["sid", "trixie", "sid"])] == [
        "Debian sid",
        "Debian 13 (trixie)",
    ]
    for name in ("", "Debian", "trixie/x", "--help"):
        with pytest.raises(InputError, match="no Debian suite"):
            find_consoles([name])
