"""What is read out of make's output: logs of real builds against a headers package, shortened."""

from __future__ import annotations

import pytest

from builder.headerstest.makelog import option_of, read_log

CLEAN = """\
make: Entering directory '/usr/lib/modules/6.12.118-rosk/build'
  CC [M]  /module/probe.o
  LD [M]  /module/rosk_probe.o
  MODPOST /module/Module.symvers
  CC [M]  /module/rosk_probe.mod.o
  LD [M]  /module/rosk_probe.ko
make: Leaving directory '/usr/lib/modules/6.12.118-rosk/build'
"""
DIFFERS = """\
warning: the compiler differs from the one used to build the kernel
  The kernel was built by: gcc (Debian 14.2.0-19) 14.2.0
  You are using:           gcc (Debian 10.2.1-6) 10.2.1 20210110
"""
TOO_OLD = """\
  CC [M]  /module/probe.o
gcc: error: unrecognized command-line option '-ftrivial-auto-var-init=zero'
gcc: error: unrecognized command-line option '-fmin-function-alignment=16'; did you mean '-flimit-function-alignment'?
make[2]: *** [scripts/Makefile.build:234: /module/probe.o] Error 1
make[1]: *** [/lib/modules/6.12.118-rosk/build/Makefile:2008: /module] Error 2
"""
MAKEFILES = """\
# -fnever stands in a comment only
ifdef CONFIG_INIT_STACK_ALL_PATTERN
KBUILD_CFLAGS	+= -ftrivial-auto-var-init=pattern
endif
ifdef CONFIG_INIT_STACK_ALL_ZERO
KBUILD_CFLAGS	+= -ftrivial-auto-var-init=zero
ifdef CONFIG_CC_HAS_AUTO_VAR_INIT_ZERO_ENABLER
KBUILD_CFLAGS	+= $(CC_AUTO_VAR_INIT_ZERO_ENABLER)
endif
endif
KBUILD_CFLAGS-$(CONFIG_FRAMED) += -fframed
ifneq ($(CONFIG_FUNCTION_ALIGNMENT),0)
ifdef CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT
KBUILD_CFLAGS += -fmin-function-alignment=$(CONFIG_FUNCTION_ALIGNMENT)
else
KBUILD_CFLAGS += \\
	-falign-functions=$(CONFIG_FUNCTION_ALIGNMENT)
endif
endif
KBUILD_CFLAGS += -falways
"""


def test_a_clean_build() -> None:
    log = read_log(CLEAN)
    assert (log.other_compiler, log.warnings, log.errors, log.unknown_flags) == (None, (), (), ())


def test_another_compiler_is_no_warning_of_the_module() -> None:
    log = read_log(DIFFERS + CLEAN)
    assert log.other_compiler == "gcc (Debian 14.2.0-19) 14.2.0"
    assert log.warnings == ()


def test_the_kernels_compiler_may_be_cut_off() -> None:
    assert read_log(DIFFERS.splitlines()[0]).other_compiler == ""


@pytest.mark.parametrize(
    "line",
    [
        "/module/disk.c:45:5: warning: no previous prototype for 'setup_disk' [-Wmissing-prototypes]",
        "/module/lime.o: warning: objtool: init_module(): not an indirect call target",
        "WARNING: modpost: missing MODULE_DESCRIPTION() in /module/x.o",
        'WARNING: Symbol version dump "./Module.symvers" is missing.',
        "Makefile:12: warning: overriding recipe for target 'all'",
        "make[1]: warning:  Clock skew detected.  Your build may be incomplete.",
    ],
)
def test_every_kind_of_warning_counts(line: str) -> None:
    assert read_log(f"{CLEAN}  {line}\n").warnings == (line,)


@pytest.mark.parametrize(
    "line", ["  CC [M]  /module/warning.o", "/module/x.c:1: note: [-Werror]", "  CC [M]  /module/error.o"]
)
def test_names_are_neither_warnings_nor_errors(line: str) -> None:
    log = read_log(line)
    assert log.warnings == log.errors == ()


def test_options_that_a_compiler_does_not_know() -> None:
    log = read_log(DIFFERS + TOO_OLD + TOO_OLD)
    assert log.unknown_flags == ("-ftrivial-auto-var-init=zero", "-fmin-function-alignment=16")
    assert len(log.errors) == 4


@pytest.mark.parametrize(
    "said",
    ["cc1: error: unrecognized command line option '-mx=y'", "clang: error: unknown argument: '-mx=y'"],
)
def test_old_gccs_and_clang_say_it_otherwise(said: str) -> None:
    assert read_log(said).unknown_flags == ("-mx=y",)


@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh: 1: scripts/basic/fixdep: not found",
        "/module/x.c:1:10: fatal error: linux/none.h: No such file or directory",
        'ERROR: modpost: "snd_card_new" [/module/x.ko] undefined!',
        "/bin/sh: scripts/mod/modpost: Exec format error",
        "make: *** No rule to make target 'modules'.  Stop.",
    ],
)
def test_lines_that_say_why_it_failed(line: str) -> None:
    assert read_log(line).errors == (line,)


@pytest.mark.parametrize(
    ("flag", "option"),
    [
        ("-fmin-function-alignment=16", "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT"),
        ("-ftrivial-auto-var-init=zero", "CONFIG_INIT_STACK_ALL_ZERO"),
        ("-ftrivial-auto-var-init=pattern", "CONFIG_INIT_STACK_ALL_PATTERN"),
        ("-fframed", "CONFIG_FRAMED"),
        ("-falign-functions=16", "CONFIG_FUNCTION_ALIGNMENT"),
        ("-falways", None),
        ("-fnever", None),
        ("-fmin", None),
    ],
)
def test_the_option_that_a_flag_comes_from(flag: str, option: str | None) -> None:
    assert option_of(flag, MAKEFILES) == option


def test_a_condition_that_ends_is_over() -> None:
    assert option_of("-fb", "ifdef CONFIG_A\nX := 1\nelse ifdef CONFIG_B\nY := -fb\nendif\n") == "CONFIG_B"
    assert option_of("-fb", "ifdef CONFIG_A\nendif\nendif\nY := -fb\n") is None
