"""Read, merge and write `.config` files.

The format is kconfig's: `CONFIG_NAME=value`, `# CONFIG_NAME is not set`, other comments, blank lines. An option that
is off has the value `n` here, whichever way the file writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builder.stages.common import StageError

_GENERATED = "Automatically generated file; DO NOT EDIT."
_FULL_SIZE = 1500
_SET = re.compile(r"CONFIG_(\w+)=(y|m|n|-?\d+|0[xX][0-9a-fA-F]+|\"(?:[^\"\\]|\\.)*\")$")
_ASSIGNED = re.compile(r"^\ufeff?(CONFIG_\w+)=([^\r\n]*)\r?$", re.MULTILINE)
_UNSET = re.compile(r"# CONFIG_(\w+) is not set$")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option that a file asks for.

    Attributes:
        name: Without `CONFIG_`.
        value: `y`, `m`, `n`, a number, or a string with its quotes.
        where: The file's name in the build context (`config/kernel-config`).
        line: The 1-based line.
    """

    name: str
    value: str
    where: str
    line: int

    def __str__(self) -> str:
        return format_option(self.name, self.value)


def format_option(name: str, value: str) -> str:
    """The line that sets an option, as kconfig writes it."""
    return f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"


def parse_config(content: bytes | str, name: str) -> list[Option]:
    """The options of a `.config` or a fragment, in the order of the file.

    Args:
        content: The file's content.
        name: The file's name, for errors and for `Option.where`.

    Raises:
        StageError: (with the line) It is no config: binary, HTML, without any option, or with a line of another form.
    """
    text = _text(content, name)
    options = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if match := _SET.match(line):
            options.append(Option(name=match[1], value=match[2], where=name, line=number))
        elif match := _UNSET.match(line):
            options.append(Option(name=match[1], value="n", where=name, line=number))
        elif line and not line.startswith("#"):
            raise _bad_line(line, name, number, first=not options)
    if not options:
        raise StageError("the file sets no CONFIG_ option", hint=_HINT, where=name, line=1)
    return options


_HINT = "give a kernel .config: lines such as CONFIG_EXT4_FS=y"


def _text(content: bytes | str, name: str) -> str:
    if isinstance(content, str):
        return content
    content = content.removeprefix(b"\xef\xbb\xbf")
    nul = content.find(b"\0")
    if nul >= 0:
        raise StageError(
            "the file is binary, not a kernel config", hint=_HINT, where=name, line=content.count(b"\n", 0, nul) + 1
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StageError("the line is not text in UTF-8", hint=_HINT, where=name, line=line) from error


def _bad_line(line: str, name: str, number: int, *, first: bool) -> StageError:
    if first and re.match(r"<(!doctype|html|\?xml|head)", line, re.IGNORECASE):
        return StageError("the file is an HTML page, not a kernel config", hint=_HINT, where=name, line=number)
    return StageError(
        f"not a line of a kernel config: {line[:60]}",
        hint='write CONFIG_NAME=value (y, m, a number, or a "string") or # CONFIG_NAME is not set',
        where=name,
        line=number,
    )


def config_values(content: bytes | str, name: str) -> dict[str, str]:
    """The values of a `.config` by option name; raises what `parse_config` raises."""
    return {option.name: option.value for option in parse_config(content, name)}


def set_options(text: str) -> dict[str, str]:
    """The options that a text sets, with their values: `CONFIG_EXT4_FS` → `m`. All other lines are passed over.

    For files that somebody else made, also of like forms: include/config/auto.conf has strings without quotes.
    """
    return dict(_ASSIGNED.findall(text))


def check_config(content: bytes | str, name: str) -> None:
    """Raise what `parse_config` raises; for a look at a file before the build."""
    parse_config(content, name)


def is_full(content: bytes | str, options: Iterable[Option]) -> bool:
    """Whether a file is a whole `.config` (it has kconfig's header, or thousands of options), not a minimal one."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content
    return _GENERATED in text[:1000] or len(list(options)) > _FULL_SIZE


def merge(*files: Iterable[Option]) -> dict[str, Option]:
    """What several files ask for together, by option name: a later one wins, and stands at its later place.

    The place matters: of two members of one choice, kconfig takes the last that is set.
    """
    merged: dict[str, Option] = {}
    for options in files:
        for option in options:
            merged.pop(option.name, None)
            merged[option.name] = option
    return merged


def format_config(values: Mapping[str, str]) -> str:
    """The text of a `.config` with these values, by option name, in their order."""
    return "".join(f"{format_option(name, value)}\n" for name, value in values.items())


def value_of(values: Mapping[str, str], name: str) -> str:
    """An option's value in a result; `n` where the result does not mention it."""
    return values.get(name, "n")


def is_kept(asked: str, got: str) -> bool:
    """Whether a result's value is what was asked for; an empty string that is absent (`n`) is."""
    return asked == got or (asked == '""' and got == "n")
