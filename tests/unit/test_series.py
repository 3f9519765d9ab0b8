"""The toolchain of each kernel series, from the settings to the words that make is given."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from builder import graph
from builder.errors import InputError
from builder.plan import bake_text, plan_text
from builder.project import Project, load_project
from builder.series import (
    FLAGS,
    LIMITS,
    NEWEST,
    SUITES,
    check_llvm,
    choose,
    flags_for,
    make_variables,
    misfit,
    series_of,
    suite_for,
)
from builder.stages.maketools import tool_arguments
from tests.unit.projects import write_project

KERNEL_ORG = """\
org: acme
kernel:
  source: kernel.org
  version: "{version}"
"""
DEBIAN = """\
org: acme
kernel:
  source: debian
  version: "{version}"
"""
CONTEXT = graph.Context(folder=Path("/context"), dockerfile=Path("/kernel.Dockerfile"), source=Path("/source"))


def project(root: Path, settings: str, **options: Any) -> Project:
    return load_project(write_project(root, **{"config/rosk.yaml": settings}), arch="x86", **options)


def args_of(project: Project, version: str) -> dict[str, str]:
    """The arguments that the graph gives to the stages of a kernel."""
    resolved = graph.Resolved(kernel_version=version, epoch=0, packages={}, base="base", base_digest="sha256:1")
    plan = graph.build_plan(project, CONTEXT, resolved, output=Path("/out"))
    found: dict[str, str] = plan["target"]["release"]["args"]
    return found


def variables_of(args: dict[str, str]) -> dict[str, str]:
    """make's variables as the stages take them apart."""
    words = tool_arguments(args.get("COMPILER", "gcc"), args.get("MAKE_VARIABLES", ""))
    return dict(word.split("=", 1) for word in words)


def shown(project: Project) -> str:
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(plan_text(project))
    return console.export_text()


@pytest.mark.parametrize(
    ("version", "suite", "told"),
    [
        ("4.4.24", "bullseye", {"HOSTCFLAGS", "KCFLAGS", "KAFLAGS"}),
        ("4.9.80", "bullseye", {"HOSTCFLAGS", "KCFLAGS"}),
        ("4.14.138", "bullseye", {"HOSTCFLAGS", "KCFLAGS"}),
        ("5.4.100", "bullseye", {"HOSTCFLAGS", "KCFLAGS"}),
        ("5.10.251", "bullseye", set()),
        ("5.15.1", "bookworm", set()),
        ("6.1.170", "bookworm", set()),
        ("6.6.1", "trixie", set()),
        ("6.12.64", "trixie", set()),
        ("7.3", "trixie", set()),
    ],
)
def test_the_plan_of_each_series(tmp_path: Path, version: str, suite: str, told: set[str]) -> None:
    loaded = project(tmp_path, KERNEL_ORG.format(version=version))
    assert loaded.settings.toolchain.suite == suite
    assert loaded.toolchain is not None
    assert version in loaded.toolchain.why
    args = args_of(loaded, version)
    assert variables_of(args).keys() == told
    assert ("MAKE_VARIABLES" in args, "COMPILER" in args) == (bool(told), False)
    assert json.loads(bake_text(loaded))["target"]["release"]["args"]["BASE"] == f"rosk-base:{suite}"
    text = shown(loaded)
    assert f"({suite})" in text
    assert all(f"{name}=" in text for name in told)


@pytest.mark.parametrize(("version", "suite"), [("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie")])
def test_debians_own_sources_are_in_the_suite(tmp_path: Path, version: str, suite: str) -> None:
    assert project(tmp_path, DEBIAN.format(version=version)).settings.toolchain.suite == suite
    assert [each.name for each in SUITES if each.source == version] == [suite]


def test_an_explicit_suite_wins(tmp_path: Path) -> None:
    loaded = project(tmp_path, KERNEL_ORG.format(version="4.14.138") + "toolchain:\n  suite: trixie\n")
    assert loaded.settings.toolchain.suite == "trixie"
    assert loaded.toolchain is not None
    assert loaded.toolchain.why == "named by toolchain.suite"
    assert str(loaded.toolchain) == "gcc 14 of Debian 13 (trixie)"
    # What the tree has to be told it is told by every compiler.
    assert "-fcommon" in variables_of(args_of(loaded, "4.14.138"))["HOSTCFLAGS"]


def test_another_version_of_the_command_line_takes_its_own(tmp_path: Path) -> None:
    assert project(tmp_path, KERNEL_ORG.format(version="6.12.64"), kernel="5.10.200").settings.toolchain.suite == (
        "bullseye"
    )


def test_a_tree_and_a_tarball_tell_it_themselves(tmp_path: Path) -> None:
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/Makefile").write_text("VERSION = 4\nPATCHLEVEL = 9\nSUBLEVEL = 337\nEXTRAVERSION =\n")
    loaded = project(tmp_path, "org: acme\nkernel:\n  source: tree\n  path: linux\n")
    assert loaded.settings.toolchain.suite == "bullseye"
    assert "make variable" in shown(loaded)
    loaded = project(tmp_path, "org: acme\nkernel:\n  source: tarball\n  path: linux-6.1.9.tar.xz\n")
    assert loaded.settings.toolchain.suite == "bookworm"


def test_what_cannot_be_told_takes_the_newest(tmp_path: Path) -> None:
    loaded = project(tmp_path, "org: acme\nkernel:\n  source: tarball\n  path: source.tar.xz\n")
    assert loaded.settings.toolchain.suite == NEWEST.name
    assert loaded.toolchain is not None
    assert "nothing tells the version" in loaded.toolchain.why


def test_what_a_source_turns_out_to_be_may_fit_another(tmp_path: Path) -> None:
    untold = choose("auto", "gcc", "", "nothing tells it")
    assert misfit(untold, "6.12.1") is None
    assert "set toolchain.suite to bullseye" in (misfit(untold, "4.14.1") or "")
    assert misfit(choose("trixie", "gcc", "", ""), "4.14.1") is None
    check_llvm("clang", "6.1", "x", tmp_path)
    check_llvm("gcc", "4.4", "x", tmp_path)
    with pytest.raises(InputError, match="cannot be compiled by clang"):
        check_llvm("clang", "5.4.3", "x", tmp_path)


def test_clang_is_a_word_for_make_and_packages(tmp_path: Path) -> None:
    loaded = project(tmp_path, KERNEL_ORG.format(version="6.12.64") + "toolchain:\n  compiler: clang\n")
    args = args_of(loaded, "6.12.64")
    assert variables_of(args) == {"LLVM": "1"}
    assert {"clang", "lld", "llvm"} <= set(args["TOOLCHAIN_PACKAGES"].split())
    assert str(loaded.toolchain) == "clang 19 of Debian 13 (trixie)"


def test_clang_refuses_what_does_not_know_it(tmp_path: Path) -> None:
    settings = KERNEL_ORG + "toolchain:\n  compiler: clang\n"
    with pytest.raises(InputError, match=r"4\.14\.138 .* cannot be compiled by clang") as caught:
        project(tmp_path, settings.format(version="4.14.138"))
    assert "toolchain.compiler" in caught.value.hint
    assert project(tmp_path, settings.format(version="5.10.1")).settings.toolchain.suite == "bullseye"


def test_the_table_is_in_order() -> None:
    assert [suite.since for suite in SUITES] == sorted({suite.since for suite in SUITES})
    assert SUITES[0].since == (0, 0)
    assert all(series_of(suite.source) and suite_for(suite.source) is suite for suite in SUITES)


def test_every_flag_has_its_reason_and_the_commit_that_ended_it() -> None:
    for entry in (*FLAGS, *LIMITS):
        commit = entry.ended if hasattr(entry, "ended") else entry.commit
        assert re.match(r"[0-9a-f]{12} \S.*: ?\S|[0-9a-f]{12} \S", commit), entry
        assert len(entry.why if hasattr(entry, "why") else entry.what) > 20
    assert all(re.fullmatch(r"[A-Z]+", flag.name) and shlex.split(flag.value) for flag in FLAGS)


def test_flags_follow_version_and_architecture() -> None:
    assert not flags_for("5.7", "x86")
    assert not flags_for("*", "x86")
    assert make_variables("5.6.19", "arm64") == {}
    assert make_variables("5.5", "arm64") == {"HOSTCFLAGS": "-fcommon"}
    assert make_variables("4.4.302", "x86")["KCFLAGS"] == "-fno-PIE -fno-optimize-sibling-calls"
    # It takes the place of the tree's own, which are a part of it.
    assert make_variables("4.18", "x86")["HOSTCFLAGS"].split()[-1] == "-fcommon"
    assert "-O2" in make_variables("4.18", "x86")["HOSTCFLAGS"]


@pytest.mark.parametrize(("text", "found"), [("6.13-rc1", (6, 13)), ("6.12.*", (6, 12)), ("6", None), ("", None)])
def test_series(text: str, found: tuple[int, int] | None) -> None:
    assert series_of(text) == found


def test_a_suite_that_is_not_in_the_table_can_be_named() -> None:
    assert str(choose("sid", "clang", "6.18", "the settings")) == "clang of Debian's sid"
