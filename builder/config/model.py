"""What is known of a kernel's options and of the config that a project's files come to."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import BuildError, InputError
from builder.series import NEEDED_PACKAGES
from builder.stages.dotconfig import parse_config, value_of

OWN = frozenset({"LOCALVERSION", "LOCALVERSION_AUTO"})
"""What the build decides: no difference, and nothing to set."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
"""A text as a .config has it."""


@dataclass(frozen=True, kw_only=True)
class KernelOption:
    """One option of a kernel; see `builder.stages.kconfigfacts`."""

    type: str
    prompt: str
    help: str
    where: str
    line: int
    selects: tuple[str, ...]
    needs: tuple[str, ...]
    choice: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a kernel's source says, whatever the project asks for.

    Attributes:
        version: The kernel version.
        options: By name, in the order of the Kconfig files.
        defaults: Kconfig's own defaults for the architecture, without what is off.
        defconfig: The architecture's defconfig, in the same form; None where there is none.
    """

    version: str
    options: Mapping[str, KernelOption]
    defaults: Mapping[str, str]
    defconfig: Mapping[str, str] | None

    def near(self, name: str) -> list[str]:
        """The options whose names are nearest to a word."""
        inside = sorted((option for option in self.options if name and name in option), key=len)[:2]
        close = difflib.get_close_matches(name, self.options, n=3, cutoff=0.7)
        return list(dict.fromkeys([*close, *inside]))[:3]


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """An option that did not come out as asked; see `builder.stages.configask`."""

    name: str
    asked: str
    got: str
    where: str
    line: int
    reason: str
    first: tuple[tuple[str, str], ...]
    refused: bool

    def describe(self) -> str:
        """One line: what was asked, what came out, and why."""
        why = f": {self.reason}" if self.reason else ""
        return f"CONFIG_{self.name}={self.asked} became {self.got}{why}"

    @property
    def packages(self) -> tuple[str, ...]:
        """Debian packages that have what it lacks: kconfig asks the toolchain for some programs."""
        return NEEDED_PACKAGES["DEBUG_INFO_BTF"] if "PAHOLE_VERSION" in self.reason else ()

    def remedy(self) -> str:
        """What to set first, as words for `rosk config set`; empty where that is not known."""
        return " ".join(f"{name}={value}" for name, value in self.first)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a file asks for."""

    value: str
    where: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The config that a project's files come to.

    Attributes:
        form: `full` or `minimal`: what kernel-config is.
        values: Option to value, in the order of a .config; what is off and can be seen is `n`.
        text: The whole .config.
        asked: What the files ask for, by option.
        warnings: `kind`, `what`, `where`, `line`.
        stops: What a build stops for beside what was dropped: `what`, `hint`, `where`, `line`.
    """

    form: str
    values: Mapping[str, str]
    text: str
    asked: Mapping[str, Asked]
    dropped: tuple[Dropped, ...]
    warnings: tuple[Mapping[str, Any], ...] = ()
    stops: tuple[Mapping[str, Any], ...] = ()

    def value(self, name: str) -> str:
        return value_of(self.values, name)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that the engine tells of a project's config."""

    facts: Facts
    config: Resolved


def read_answer(folder: Path) -> Answer:
    """What the target `config` exported.

    Raises:
        BuildError: It is not whole.
    """
    try:
        facts = json.loads((folder / "facts.json").read_text())
        told = json.loads((folder / "resolved.json").read_text())
        options = {
            name: KernelOption(**{**each, "selects": tuple(each["selects"]), "needs": tuple(each["needs"])})
            for name, each in facts["options"].items()
        }
        text = (folder / "config").read_text()
        return Answer(
            facts=Facts(
                version=facts["version"], options=options, defaults=facts["defaults"], defconfig=facts["defconfig"]
            ),
            config=Resolved(
                form=told["form"],
                values=values_of(text, "config"),
                text=text,
                asked={name: Asked(**each) for name, each in told["asked"].items()},
                dropped=tuple(
                    Dropped(**{**each, "first": tuple((name, value) for name, value in each["first"])})
                    for each in told["dropped"]
                ),
                warnings=tuple(told["warnings"]),
                stops=tuple(told["stops"]),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the engine told nothing of the config: {error}"
        raise BuildError(what, hint="run it again; if it happens again, report it: this is an error in rosk") from error


def values_of(text: str | bytes, name: str) -> dict[str, str]:
    """The values of a .config by option.

    Raises:
        StageError: It is none.
    """
    return {option.name: option.value for option in parse_config(text, name)}


def parse_value(facts: Facts, name: str, given: str) -> str:
    """The value of an option as a .config has it.

    Args:
        given: As the user wrote it; a text may be as in a .config, or plain, without quotes and what they take.

    Raises:
        InputError: There is no such option, it is not for a config to set, or this is no value of its type.
    """
    option = facts.options.get(name)
    if option is None:
        near = facts.near(name)
        hint = f"is it {', '.join(near)}?" if near else "see the menus: `rosk config edit`, then / to search"
        raise InputError(f"Linux {facts.version} has no option {name}", hint=hint)
    if name in OWN:
        raise InputError(f"{name} is set by the build", hint="`org` and `suffix` of the settings name the release")
    wish = given.lower() if given.lower() in ("y", "m", "n") else given
    if option.type == "string":
        if "\n" in given:
            raise InputError(f"a text for {name} has one line", hint="leave the line break out")
        if _QUOTED.fullmatch(given):
            return given
        inside = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
        return '"' + re.sub(r'["\\]', r"\\\g<0>", inside) + '"'
    expected = {
        "bool": ("y or n", wish in ("y", "n")),
        "tristate": ("y, m or n", wish in ("y", "m", "n")),
        "int": ("a number", re.fullmatch(r"-?\d+", given) is not None),
        "hex": ("a hexadecimal number, such as 0x1000", re.fullmatch(r"0[xX][0-9a-fA-F]+", given) is not None),
    }.get(option.type)
    if expected is not None and not expected[1]:
        raise InputError(
            f"{given!r} is no value of {name}: its type is {option.type}", hint=f"write {name}= and {expected[0]}"
        )
    return wish
