"""What make printed while it built an external module: what it warned of, and what it failed on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OTHER_COMPILER = "the compiler differs from the one used to build the kernel"
"""Said by the kernel's Makefile (`prepare` of external modules), with the two compilers in the next two lines."""

# gcc: `x.c:1:2: warning: …`; make: `Makefile:1: warning: …`, `make: warning: …`; objtool: `x.o: warning: …`;
# modpost: `WARNING: modpost: …`.
_WARNING = re.compile(r"\bwarning\b\s*:", re.IGNORECASE)
_ERROR = re.compile(r"\berror\b\s*:|\bERROR\b|\*\*\*|: (?:not found|No such file or directory|Exec format error)")
# The first is gcc's, the second clang's; both quote like this in the C locale.
_UNKNOWN = re.compile(r"(?:unrecognized command[- ]line option|unknown argument:?) '(?P<flag>-[^']+)'")


@dataclass(frozen=True, kw_only=True)
class MakeLog:
    """What a log says.

    Attributes:
        other_compiler: The kernel's compiler, when kbuild says that it is not the one that was used; else None.
        warnings: Every other line that warns of something, in order.
        errors: The lines that say why it failed, in order, each once.
        unknown_flags: Compiler options that the compiler does not know, as they were given, in order, each once.
    """

    other_compiler: str | None
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    unknown_flags: tuple[str, ...]


def read_log(text: str) -> MakeLog:
    """Read make's output and error output of a build in the C locale."""
    lines = [line.strip() for line in text.splitlines()]
    return MakeLog(
        other_compiler=_other_compiler(lines),
        warnings=tuple(line for line in lines if _WARNING.search(line) and _OTHER_COMPILER not in line),
        errors=tuple(dict.fromkeys(line for line in lines if _ERROR.search(line))),
        unknown_flags=tuple(dict.fromkeys(match["flag"] for match in _UNKNOWN.finditer(text))),
    )


def _other_compiler(lines: Sequence[str]) -> str | None:
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if _OTHER_COMPILER in line:
            return following.partition("built by:")[2].strip()
    return None


def option_of(flag: str, makefiles: str) -> str | None:
    """The kernel's option that makes kbuild use a compiler option.

    Args:
        flag: The compiler option (`-ftrivial-auto-var-init=zero`).
        makefiles: The text of the kernel's Makefiles, in which its value may be a variable's.

    Returns:
        The option of the flag's own line, or of the innermost condition that it stands in (`CONFIG_X`); None when
        there is none.
    """
    return _option_of(flag, makefiles) or _option_of(flag.partition("=")[0], makefiles)


def _option_of(flag: str, makefiles: str) -> str | None:
    given = re.compile(rf"(?<![\w-]){re.escape(flag)}(?![\w-])")
    conditions: list[str | None] = []
    for line in makefiles.replace("\\\n", " ").splitlines():
        words = line.partition("#")[0].split()
        match words:
            case ["ifdef" | "ifndef" | "ifeq" | "ifneq", *_]:
                conditions.append(_config(line))
            case ["else", *_] if conditions:
                conditions[-1] = _config(line)
            case ["endif"] if conditions:
                conditions.pop()
            case _ if given.search(" ".join(words)):
                # A flag's value may be an option's too (`-fx=$(CONFIG_Y)`): what switches it on is meant.
                own = _config(re.sub(rf"{re.escape(flag)}=\S*", "", line))
                return own or next((name for name in reversed(conditions) if name), None)
    return None


def _config(line: str) -> str | None:
    found = re.search(r"\bCONFIG_\w+", line)
    return found[0] if found else None
