from __future__ import annotations

import pytest

from builder.stages.kconfig import Kconfig
from builder.stages.kexpr import annotate, conjuncts, evaluate

KCONFIG = r"""
mainmenu "Linux"
source "net/Kconfig"
source "arch/$(SRCARCH)/Kconfig"
source "old/$SRCARCH/Kconfig"

config MODULES
	bool "Modules"
	help
		depends on nothing at all.

		config FAKE
		Still help.

config DEPENDENT
	tristate "Depends" \
		if EXPERT
	depends on NET && (INET || IPV6) && !BROKEN # a comment

choice
	prompt "Compression"

config GZIP
	bool "gzip"

config XZ
	bool "xz"

endchoice

config HIDDEN
	tristate

config SELECTOR
	tristate "Selects"
	select HIDDEN
	select FORCED if NET

config FORCED
	bool "Forced"

config SHIFT
	int "Number"
	range 12 25
	depends on NET

config COMPILER
	bool "Needs the compiler"
	depends on $(cc-option,-fsomething)
"""
NET = """
menuconfig NET
	bool "Networking"

if NET

menu "Protocols"
	depends on EXPERT

config INET
	bool "IP"

endmenu

config VXLAN
	tristate "VXLAN"
	depends on INET
	depends on m || !IPV6

endif

config LAST
	bool "After endif"
"""


@pytest.fixture(scope="module")
def kconfig(tmp_path_factory: pytest.TempPathFactory) -> Kconfig:
    tree = tmp_path_factory.mktemp("tree")
    files = {
        "Kconfig": KCONFIG,
        "net/Kconfig": NET,
        "arch/x86/Kconfig": 'config X86\n\tdef_bool y\n\nconfig SHIFT\n\tint "Twice" if X86\n',
        "old/x86/Kconfig": "config OLD\n\tbool 'Old'\n",
    }
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return Kconfig(tree, "x86")


def test_options_types_and_prompts(kconfig: Kconfig) -> None:
    assert {"NET", "INET", "VXLAN", "X86", "OLD", "MODULES", "HIDDEN"} <= set(kconfig.options)
    assert "FAKE" not in kconfig.options
    assert kconfig.type_of("VXLAN") == "tristate"
    assert kconfig.type_of("ABSENT") == ""
    assert kconfig.has_prompt("OLD")
    assert not kconfig.has_prompt("HIDDEN")
    assert kconfig.choice_of("XZ") is kconfig.choice_of("GZIP") is not None
    assert kconfig.choice_of("HIDDEN") is None


@pytest.mark.parametrize(
    ("name", "asked", "values", "reason"),
    [
        ("VXLAM", "m", {}, "this kernel has no such option; is it CONFIG_VXLAN?"),
        ("QQQQQQ", "m", {}, "this kernel has no such option"),
        ("VXLAN", "m", {"NET": "y"}, "needs INET (n) [net/Kconfig:17]"),
        ("VXLAN", "m", {}, "needs NET (n) [net/Kconfig:5], INET (n) [net/Kconfig:17]"),
        ("VXLAN", "y", {"NET": "y", "INET": "y", "IPV6": "m"}, "needs m || !IPV6 (m) [net/Kconfig:18]"),
        ("INET", "y", {"NET": "y"}, "needs EXPERT (n) [net/Kconfig:8]"),
        ("LAST", "y", {}, ""),
        ("DEPENDENT", "m", {"NET": "y", "INET": "y"}, "needs EXPERT (n) [Kconfig:16]"),
        (
            "DEPENDENT",
            "m",
            {"NET": "y", "EXPERT": "y", "BROKEN": "y"},
            "needs (INET (n) || IPV6 (n)) [Kconfig:18], !BROKEN (y) [Kconfig:18]",
        ),
        ("MODULES", "m", {}, "it cannot be a module, only y or n [Kconfig:7]"),
        ("SHIFT", "y", {}, "its type is int [arch/x86/Kconfig:4]"),
        ("MODULES", "17", {}, "its type is bool [Kconfig:7]"),
        ("SHIFT", "30", {"NET": "y", "X86": "y"}, "its range is 12..25 [Kconfig:44]"),
        ("SHIFT", "14", {}, "it can only be set with X86 (n) [arch/x86/Kconfig:5]; or NET (n) [Kconfig:45]"),
        ("HIDDEN", "m", {}, "it has no prompt: only other options set it [Kconfig:31]"),
        ("XZ", "y", {"GZIP": "y"}, "the choice is CONFIG_GZIP [Kconfig:20]"),
        ("HIDDEN", "n", {"HIDDEN": "m", "SELECTOR": "m"}, "selected by CONFIG_SELECTOR [Kconfig:36]"),
        ("FORCED", "n", {"FORCED": "y", "SELECTOR": "y", "NET": "y"}, "selected by CONFIG_SELECTOR [Kconfig:37]"),
        ("FORCED", "n", {"FORCED": "y", "SELECTOR": "y"}, ""),
        ("INET", "n", {"INET": "y"}, "it can only be set with NET (n) [net/Kconfig:5], EXPERT (n) [net/Kconfig:8]"),
        ("COMPILER", "y", {}, ""),
    ],
)
def test_reasons(kconfig: Kconfig, name: str, asked: str, values: dict[str, str], reason: str) -> None:
    assert kconfig.explain(name, asked, values) == reason


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("A", {"A": "m"}, 1),
        ("!A", {"A": "m"}, 1),
        ("!A", {}, 2),
        ("A && B", {"A": "y", "B": "m"}, 1),
        ("A || B && C", {"B": "y"}, 0),
        ("(A || B) && C", {"B": "y", "C": "y"}, 2),
        ("A = y", {"A": "y"}, 2),
        ("A=n || B!=m", {"A": "y", "B": "m"}, 0),
        ('NAME = "x86"', {"NAME": '"x86"'}, 2),
        ("GCC_VERSION >= 140000", {"GCC_VERSION": "140200"}, 2),
        ("GCC_VERSION < 140000", {"GCC_VERSION": "140200"}, 0),
        ("$(cc-option,-m(a)) && A", {"A": "y"}, 2),
        ("64BIT && !UML", {"64BIT": "y"}, 2),
    ],
)
def test_expressions(text: str, values: dict[str, str], result: int) -> None:
    assert evaluate(text, values) == result


def test_expressions_are_shown_with_their_values() -> None:
    assert annotate("(A||!B)&&C!=y", {"B": "m"}) == "(A (n) || !B (m)) && C (n)!=y"
    assert conjuncts("A && (B || C) && !D") == ["A", "(B || C)", "!D"]
    assert conjuncts("A && B || C") == ["A && B || C"]
