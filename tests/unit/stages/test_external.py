"""External modules against the headers of the fake kernel tree, with its source absent."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.stages import external
from builder.stages.common import MARK
from builder.stages.elf import modinfo
from tests.unit.stages import faketree

BASE = """\
#include <linux/fake.h>
#include <linux/module.h>
int base_answer(void)
{
	return printk("base");
}
EXPORT_SYMBOL(base_answer);
MODULE_LICENSE("GPL");
"""
USER = """\
#include <linux/module.h>
int base_answer(void);
static int user_init(void)
{
	return base_answer();
}
module_init(user_init);
MODULE_LICENSE("GPL");
"""
INSTALLED = f"out/modules/lib/modules/{faketree.RELEASE}"


@pytest.fixture(scope="module")
def tree(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The headers tree."""
    return faketree.headers_of(faketree.TREE, compiled / "out/objtree", tmp_path_factory.mktemp("headers") / "tree")


class Built:
    """One run of the stage in a folder of its own; `error` is its error event."""

    def __init__(self, folder: Path, tree: Path, source: Path, told: Path | None = None, **recipe: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        whole = {"name": "mod", "archive": False, "subdir": "", "make": {}, "install": "extra", **recipe}
        (folder / "module.json").write_text(json.dumps(whole))
        done = faketree.run_stage(
            *("external", "--module", folder / "module.json", "--input", source, "--headers", tree),
            *("--told", told or folder / "none", "--sources", folder.parent / "src", "--release", faketree.RELEASE),
            *("--arch", "x86_64", "--epoch", str(faketree.EPOCH), "--toolchain", "/dev/null"),
            *("--log", folder / "log", "--out", folder / "out"),
        )
        shutil.rmtree(folder.parent / "src", ignore_errors=True)
        assert done.stderr == "", done.stderr
        events = [json.loads(line[len(MARK) :]) for line in done.stdout.splitlines() if line.startswith(MARK)]
        self.error = next((event for event in events if event["event"] == "error"), None)
        self.logs = [event["name"] for event in events if event["event"] == "log"]
        assert (done.returncode != 0) == (self.error is not None)

    def what(self) -> str:
        assert self.error is not None
        assert self.error["hint"]
        return "\n".join([self.error["what"], *self.error["details"]])


def source(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return source(tmp_path / "base", Kbuild="obj-m := base.o\n", base_dot_c=BASE)


def test_modules_that_build_on_each_other(tmp_path: Path, tree: Path, base: Path) -> None:
    first = Built(tmp_path / "1", tree, base, name="base")
    assert first.error is None
    assert [path.name for path in (first.folder / INSTALLED / "extra").iterdir()] == ["base.ko"]
    assert "base_answer" in (first.folder / "out/told/base.symvers").read_text()
    assert (first.folder / "out/told/base.list").read_text() == "base.ko\n"
    assert list((first.folder / "log").iterdir()) == []
    user = source(tmp_path / "user", drv__Makefile="obj-m := user.o\n", drv__user_dot_c=USER)
    second = Built(tmp_path / "2", tree, user, first.folder / "out/told", name="user", subdir="drv", install="updates")
    assert second.error is None
    module = second.folder / INSTALLED / "updates/user.ko"
    assert modinfo(module)["depends"] == ["base"]
    assert modinfo(module)["vermagic"][0].split()[0] == faketree.RELEASE
    alone = Built(tmp_path / "3", tree, user, name="user", subdir="drv")
    assert '"base_answer"' in alone.what() and "undefined" in alone.what()


def test_the_same_source_gives_the_same_bits(tmp_path: Path, tree: Path, base: Path) -> None:
    built = [Built(tmp_path / name, tree, base).folder / INSTALLED / "extra/base.ko" for name in ("1", "2")]
    assert built[0].read_bytes() == built[1].read_bytes()


def test_an_archive_and_variables(tmp_path: Path, tree: Path, base: Path) -> None:
    (base / "Kbuild").write_text("obj-$(WITH_BASE) := base.o\n")
    (tmp_path / "input").mkdir()
    with tarfile.open(tmp_path / "input/base.tar.gz", "w:gz") as tar:
        tar.add(base, "base-1.0")
    built = Built(tmp_path / "1", tree, tmp_path / "input", archive=True, make={"WITH_BASE": "m"})
    assert (built.folder / INSTALLED / "extra/base.ko").is_file()
    assert "builds nothing" in Built(tmp_path / "2", tree, tmp_path / "input", archive=True).what()


def test_what_a_dkms_file_names(tmp_path: Path, tree: Path, base: Path) -> None:
    source(base, Kbuild="obj-m := base.o test.o\n", test_dot_c=BASE.replace("base_answer", "test"))
    (base / "dkms.conf").write_text('PACKAGE_NAME="base"\nBUILT_MODULE_NAME[0]="base"\n')
    built = Built(tmp_path / "1", tree, base)
    assert [path.name for path in (built.folder / INSTALLED / "extra").iterdir()] == ["base.ko"]
    (base / "dkms.conf").write_text('BUILT_MODULE_NAME="other"\n')
    assert "other.ko, which its dkms.conf names" in Built(tmp_path / "2", tree, base).what()


def test_a_module_that_somebody_has_built_is_none(tmp_path: Path, tree: Path, base: Path) -> None:
    built = Built(tmp_path / "1", tree, base).folder / INSTALLED / "extra/base.ko"
    shutil.copy(built, source(base / "old") / "other.ko")
    (base / "dangling.ko").symlink_to("nothing")
    again = Built(tmp_path / "2", tree, base)
    assert [path.name for path in (again.folder / INSTALLED / "extra").iterdir()] == ["base.ko"]
    (base / "Kbuild").write_text("obj-n := base.o\n")
    shutil.copy(built, base)
    assert "builds nothing" in Built(tmp_path / "3", tree, base).what()


def test_a_module_that_does_not_compile(tmp_path: Path, tree: Path, base: Path) -> None:
    (base / "base.c").write_text(BASE + "int broken(void) { return nonsense; }\n")
    built = Built(tmp_path / "1", tree, base, name="base")
    assert "the module base does not build: " in built.what()
    assert "base.c:9" in built.what() and "nonsense" in built.what()
    (log,) = built.logs
    assert "nonsense" in (built.folder / "log" / log).read_text()


def test_sources_that_are_none(tmp_path: Path, tree: Path, base: Path) -> None:
    (base / "empty").mkdir()
    (base / "out").symlink_to("/etc")
    assert "no Kbuild or Makefile" in Built(tmp_path / "1", tree, base, subdir="empty").what()
    assert "has no folder out" in Built(tmp_path / "2", tree, base, subdir="out").what()
    assert "has no folder gone" in Built(tmp_path / "3", tree, base, subdir="gone").what()
    told = source(tmp_path / "told", other_dot_list="base.ko\n")
    assert "base.ko is built by the modules other and mod" in Built(tmp_path / "4", tree, base, told).what()


def asked_for(folder: Path, source: Path, *more: str) -> external.Module:
    """The module that a command line asks for; `more` are words that end it."""
    recipe = {"name": "mod", "archive": False, "subdir": "", "make": {}, "install": "extra"}
    (folder / "module.json").write_text(json.dumps(recipe))
    paths = ("--module", folder / "module.json", "--input", source, "--sources", folder / "src")
    named = ("--told", "none", "--release", "6.12.99", "--arch", "arm64", "--epoch", "0", "--toolchain", "/dev/null")
    line = [*map(str, paths), *named, "--log", "log", "--out", "out"]
    return external.module_of(external.arguments().parse_args([*line, *more]))[0]


@pytest.mark.parametrize(
    ("given", "words", "strip"),
    [
        ([], {"ARCH=arm64", "CROSS_COMPILE=", "CC=ccache gcc"}, "strip"),
        (
            ["--cross-compile=aarch64-linux-gnu-", "--make-variables=KCFLAGS='-g -O2'"],
            {"CROSS_COMPILE=aarch64-linux-gnu-", "CC=ccache aarch64-linux-gnu-gcc", "KCFLAGS=-g -O2"},
            "aarch64-linux-gnu-strip",
        ),
        (
            ["--cross-compile=aarch64-linux-gnu-", "--compiler", "clang"],
            {"CROSS_COMPILE=aarch64-linux-gnu-", "LLVM=1", "CC=ccache clang"},
            "llvm-strip",
        ),
    ],
)
def test_they_are_built_with_the_kernels_own_compiler(
    tmp_path: Path, base: Path, given: list[str], words: set[str], strip: str
) -> None:
    module = asked_for(tmp_path, base, *given)
    assert words <= set(module.make_arguments(cached=True))
    assert module.strip == strip and "LLVM=1" not in set(module.make_arguments(cached=True)) - words


@pytest.mark.parametrize("option", ["GCC_PLUGINS", "RANDSTRUCT"])
def test_what_ccache_knows_by_name_only_is_compiled_without_it(tmp_path: Path, base: Path, option: str) -> None:
    """As the kernel is: a plugin, and the file with the seed by which structures are laid out."""
    module = asked_for(tmp_path, base, "--headers", str(tmp_path / "headers"))
    config = tmp_path / "headers/include/config/auto.conf"
    config.parent.mkdir(parents=True)
    for text, kept in (("CONFIG_MODULES=y\n", True), (f"CONFIG_MODULES=y\nCONFIG_{option}=y\n", False)):
        config.write_text(text)
        cache = external.compiler_cache(module, tmp_path / "cache", None, Path("/dev/null"))
        assert (cache is not None) == kept


@pytest.mark.parametrize("names", [("one.h", "other.h"), ("one.c", "other.c")])
def test_a_file_beside_the_folder_that_is_built_counts_for_the_compiler_cache(
    tmp_path: Path, base: Path, names: tuple[str, str]
) -> None:
    """A source may include any."""
    module = asked_for(tmp_path, base, "--headers", str(tmp_path / "headers"))
    keys = []
    for name in names:
        (module.tree / "override").mkdir(exist_ok=True)
        (module.tree / "override" / name).touch()
        cache = external.compiler_cache(replace(module, top=module.tree / "driver"), tmp_path, None, Path("/dev/null"))
        assert cache
        keys.append(cache.environment()["CCACHE_COMPILERCHECK"])
        cache.close()
    assert keys[0] != keys[1]
