from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.makefile import Makefile


def read(tmp_path: Path, text: str, **given: str) -> Makefile:
    (tmp_path / "Makefile").write_text(text)
    make = Makefile(tmp_path, given)
    make.read(tmp_path / "Makefile")
    return make


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x := a b # c", "a b"),
        ("x = $(y)\ny = late", "late"),
        ("y := early\nx := $(y)\ny := late", "early"),
        ("x := a\nx += b", "a b"),
        ("x ?= a\nx ?= b", "a"),
        ("x := a \\\n   b \\\n\ny := c", "a b"),
        ("x-$(CONFIG_Y) := a\nx = $(x-y)", "a"),
        ("x = $(filter %/ c,a/ b.o c)", "a/ c"),
        ("x = $(filter-out b%,a b bb)", "a"),
        ("x = $(addprefix p/,a b) $(addsuffix .o,c)", "p/a p/b c.o"),
        ("x = $(patsubst %.c,%.o,a.c b.h)", "a.o b.h"),
        ("y := a.c\nx = $(y:.c=.o) $(y:%.c=%.s)", "a.o a.s"),
        ("x = $(subst m,y,$(CONFIG_M))", "y"),
        ("x = $(if $(CONFIG_Y),a,b) $(if $(CONFIG_N),a,b)", "a b"),
        ("x = $(or $(CONFIG_N),c) $(and $(CONFIG_Y),$(CONFIG_N))d", "c d"),
        ("x = $(foreach f,a b,$(f).o)", "a.o b.o"),
        ("twice = $(1)$(1)\nx = $(call twice,ab)", "abab"),
        ("x = $(shell date)$(call cc-option,-O2)", ""),
        ("x = $(notdir a/b) $(dir a/b) $(basename a/b.c) $(sort b a b)", "b a/ a/b a b"),
        ("x = a$$b", "a$b"),
    ],
)
def test_variables_and_functions(tmp_path: Path, text: str, value: str) -> None:
    assert " ".join(read(tmp_path, text, CONFIG_Y="y", CONFIG_M="m").words("x")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ifeq ($(CONFIG_Y),y)\nx := 1\nelse\nx := 2\nendif", "1"),
        ("ifneq ($(CONFIG_Y),y)\nx := 1\nelse\nx := 2\nendif", "2"),
        ('ifeq "$(CONFIG_Y)" "y"\nx := 1\nendif', "1"),
        ("ifdef CONFIG_N\nx := 1\nelse ifdef CONFIG_M\nx := 2\nelse\nx := 3\nendif", "2"),
        ("ifndef CONFIG_N\nifdef CONFIG_N\nx := 1\nelse\nx := 2\nendif\nendif", "2"),
        ("ifdef CONFIG_N\nifdef CONFIG_Y\nx := 1\nendif\nelse\nx := 2\nendif", "2"),
        ("ifdef CONFIG_Y\n\tx := indented\nendif", "indented"),
        ("all: a\n\tx := recipe\ny := 1", ""),
        ("define x\ny\nendef", ""),
        ("a.o: x := target\nx := 1", "1"),
    ],
)
def test_conditionals_and_what_is_passed_over(tmp_path: Path, text: str, value: str) -> None:
    assert read(tmp_path, text, CONFIG_Y="y", CONFIG_M="m").value("x") == value


def test_included_files_and_wildcards(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/Makefile.inc").write_text("x += b\n")
    (tmp_path / "sub/one.c").touch()
    make = read(tmp_path, "x := a\ninclude $(srctree)/sub/Makefile.inc\n-include absent\ny = $(wildcard sub/*.c)\n")
    assert make.words("x") == ["a", "b"]
    assert [Path(word).name for word in make.words("y")] == ["one.c"]


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("include $(srctree)/Makefile\n")
    assert read(tmp_path, "x := 1\ninclude $(srctree)/other\n").value("x") == "1"
