# SPDX-License-Identifier: GPL-2.0
"""A small kconfig: complete .config in the working directory; with --syncconfig bring what follows from it up to date.

What follows: auto.conf, autoconf.h, and for each option a stamp include/config/NAME, touched when the option's value
is not the one in the auto.conf before. Nothing is touched for an option that is off and not in the old auto.conf, also
when that file was lost: as in kbuild, objects that were compiled with such an option on are then taken for good.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

LEVELS = "nmy"
AUTO_CONF = "include/config/auto.conf"


class Symbol:
    def __init__(self) -> None:
        self.type = ""
        self.prompt = False
        self.depends: list[str] = []
        self.defaults: list[str] = []
        self.selects: list[str] = []
        self.choice: list[str] | None = None


read_files: list[str] = []


def parse(tree: Path, name: str, srcarch: str, symbols: dict[str, Symbol], around: list[str]) -> None:
    blocks: list[list[str]] = []
    choice: list[str] | None = None
    symbol: Symbol | None = None
    read_files.append(str(tree / name))
    for raw in (tree / name).read_text().splitlines():
        word, _, rest = raw.split("#")[0].strip().partition(" ")
        if word in ("config", "menuconfig"):
            symbol = symbols.setdefault(rest, Symbol())
            symbol.depends += [*around, *(text for block in blocks for text in block)]
            symbol.choice = choice
            if choice is not None:
                choice.append(rest)
        elif word in ("menu", "choice", "if"):
            blocks.append([rest] if word == "if" else [])
            choice, symbol = ([] if word == "choice" else choice), None
        elif word in ("endmenu", "endchoice", "endif"):
            blocks.pop()
            choice, symbol = (None if word == "endchoice" else choice), None
        elif word == "source":
            inner = [*around, *(text for block in blocks for text in block)]
            parse(tree, rest.strip('"').replace("$(SRCARCH)", srcarch), srcarch, symbols, inner)
        elif symbol is not None:
            attribute(symbol, word, rest)


def attribute(symbol: Symbol, word: str, rest: str) -> None:
    if word in ("bool", "tristate", "string", "int"):
        symbol.type, symbol.prompt = word, bool(rest)
    elif word == "def_bool":
        symbol.type = "bool"
        symbol.defaults.append(rest)
    elif word == "depends":
        symbol.depends.append(rest.removeprefix("on "))
    elif word == "default":
        symbol.defaults.append(rest.replace("$(CC_VERSION_TEXT)", os.environ.get("CC_VERSION_TEXT", "")))
    elif word == "select":
        symbol.selects.append(rest)


def level(expression: str, values: dict[str, str]) -> int:
    """The value of a conjunction: 0 (n), 1 (m), 2 (y)."""
    return min((max(0, LEVELS.find(values.get(name, "n"))) for name in expression.split(" && ")), default=2)


def solve(symbols: dict[str, Symbol], asked: dict[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for _ in range(10):  # until what selects and depends on what has settled
        for name, symbol in symbols.items():
            values[name] = value(name, symbol, symbols, asked, values)
    return values


def value(name: str, symbol: Symbol, symbols: dict[str, Symbol], asked: dict[str, str], values: dict[str, str]) -> str:
    default = symbol.defaults[0] if symbol.defaults else {"string": '""', "int": "0"}.get(symbol.type, "n")
    want = asked.get(name, default) if symbol.prompt else default
    if symbol.type in ("string", "int"):
        return want if all(level(text, values) for text in symbol.depends) else "n"
    if symbol.choice:
        wanted = [member for member in asked if member in symbol.choice and asked[member] == "y"]
        return "y" if name == (wanted or symbol.choice)[-1 if wanted else 0] else "n"
    if want not in (LEVELS if symbol.type == "tristate" else "ny"):
        want = default
    reach = min((level(text, values) for text in symbol.depends), default=2)
    forced = max((level(by, values) for by, each in symbols.items() if name in each.selects), default=0)
    number = max(min(LEVELS.index(want), reach), forced)
    return "y" if symbol.type == "bool" and number else LEVELS[number]


def read(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if match := re.match(r"(?:# )?CONFIG_(\w+)(?:=(.*)| is not set)$", line):
            values.pop(match[1], None)
            values[match[1]] = match[2] or "n"
    return values


def write(path: str, text: str) -> None:
    """Write a file as a whole."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(f"{path}.tmp").write_text(text)
    Path(f"{path}.tmp").replace(path)


def dotconfig(symbols: dict[str, Symbol], values: dict[str, str], srcarch: str) -> str:
    title = f"# Linux/{srcarch} {os.environ.get('KERNELVERSION', '')} Kernel Configuration"
    lines = ["#", "# Automatically generated file; DO NOT EDIT.", title, "#"]
    for name, value in values.items():
        if value != "n":
            lines.append(f"CONFIG_{name}={value}")
        elif symbols[name].prompt:
            lines.append(f"# CONFIG_{name} is not set")
    return "\n".join(lines) + "\n"


def sync(values: dict[str, str]) -> None:
    before = read(Path(AUTO_CONF))
    on = {name: value for name, value in values.items() if value != "n"}
    write(f"{AUTO_CONF}.cmd", depends())
    for name in before.keys() | on.keys():
        if before.get(name) != on.get(name):
            Path(f"include/config/{name}").touch()
    defines = (
        f"#define CONFIG_{name}{'_MODULE' if value == 'm' else ''} {1 if value in 'my' else value}\n"
        for name, value in on.items()
    )
    write("include/generated/autoconf.h", "".join(defines))
    write(AUTO_CONF, "".join(f"CONFIG_{name}={value}\n" for name, value in on.items()))


def depends() -> str:
    """What has make call this again: a Kconfig file, or a variable that they use."""
    lines = [f"{AUTO_CONF}: {' '.join(read_files)}", f"{' '.join(read_files)}: ;"]
    for name in ("CC_VERSION_TEXT", "KERNELVERSION", "SRCARCH"):
        lines += [f'ifneq "$({name})" "{os.environ.get(name, "")}"', f"{AUTO_CONF}: FORCE", "endif"]
    return "\n".join(lines) + "\n"


def save_minimal(symbols: dict[str, Symbol], values: dict[str, str]) -> None:
    """Write `defconfig`: what cannot be left out without another value."""
    asked = {name: values[name] for name, symbol in symbols.items() if symbol.prompt}
    for name in list(asked):
        rest = {other: asked[other] for other in asked if other != name}
        if solve(symbols, rest) == values:
            asked = rest
    lines = (f"# CONFIG_{name} is not set" if asked[name] == "n" else f"CONFIG_{name}={asked[name]}" for name in asked)
    write("defconfig", "".join(f"{line}\n" for line in lines))


def main() -> None:
    tree, srcarch = Path(sys.argv[1]), sys.argv[2]
    symbols: dict[str, Symbol] = {}
    parse(tree, "Kconfig", srcarch, symbols, [])
    asked = read(Path(".config"))
    if "--menu" in sys.argv:
        # Stands in for the menus: words NAME=VALUE, and `save` at the end or nothing is written.
        *words, last = sys.stdin.read().split()
        if last != "save":
            return
        for name, _, value in (word.partition("=") for word in words):
            asked.pop(name, None)
            asked[name] = value
    values = solve(symbols, asked)
    if "--savedefconfig" in sys.argv:
        save_minimal(symbols, values)
        return
    text = dotconfig(symbols, values, srcarch)
    if not Path(".config").exists() or Path(".config").read_text() != text:
        Path(".config").write_text(text)
    if "--syncconfig" in sys.argv:
        sync(values)


main()
