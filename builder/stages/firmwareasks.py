"""Tells from the source code what firmware the modules of a config may ask for: their MODULE_FIRMWARE lines.

What a compiled module asks for is in its `.modinfo`; this is for before a compile. The C preprocessor expands each file
that has such a line, with the headers beside it and the config's options, so that names that macros put together are
known too. Names that only a whole compile could tell are counted as unclear.

Output: a JSON file with `asked` (path of each module → names, also of what is built in) and `unclear` (path → number).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builder.stages.common import StageError, stage_main, write_json
from builder.stages.dotconfig import config_values
from builder.stages.kbuild import Kbuild

_WORD = "MODULE_FIRMWARE"
_QUOTED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)".*$', re.MULTILINE)
_SYSTEM = re.compile(r"^[ \t]*#[ \t]*include\b.*$", re.MULTILINE)
_ERROR = re.compile(r"^[ \t]*#[ \t]*(?:error|warning|pragma)\b.*$", re.MULTILINE)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MACRO_TEXT = re.compile(r'rosk_text\s*"[A-Z][A-Z0-9]*_[A-Z0-9_]+"')
_MARK = re.compile(r"\brosk_firmware\b(.*?)\brosk_end\b", re.DOTALL)
_MACROS = f"""\
#define {_WORD}(name) rosk_firmware name rosk_end
#define __stringify_1(x...) rosk_text #x
#define __stringify(x...) __stringify_1(x)
#define rosk_arg_1 0,
#define rosk_second(one, two, ...) two
#define rosk_or_0(junk) rosk_second(junk 1, 0)
#define rosk_paste(value) rosk_or_0(rosk_arg_##value)
#define rosk_is(value) rosk_paste(value)
#define IS_BUILTIN(option) rosk_is(option)
#define IS_MODULE(option) rosk_is(option##_MODULE)
#define IS_ENABLED(option) (rosk_is(option) || rosk_is(option##_MODULE))
#define IS_REACHABLE(option) IS_ENABLED(option)
"""
_MAX_TEXT, _MAX_HEADERS, _FOLDERS_UP = 1 << 23, 200, 3
_SECONDS = 60


def flatten(tree: Path, file: Path) -> str:
    """The text of a source file with the headers that it includes by a quoted name, where these are near it.

    Each is there once, and all other headers are left out: none of them has the name of a firmware file. Empty when
    neither the file nor one of the headers that it names has such a line.
    """
    text = _read(file)
    if _WORD not in text and not any(_WORD in _read(near) for near in _near(tree, file, text)):
        return ""
    return _flatten(tree, file, {file})[:_MAX_TEXT]


def _flatten(tree: Path, file: Path, seen: set[Path]) -> str:
    def include(match: re.Match[str]) -> str:
        header = _find(tree, file, match[1])
        if header is None or header in seen or len(seen) > _MAX_HEADERS:
            return ""
        seen.add(header)
        return _flatten(tree, header, seen)

    return _ERROR.sub("", _SYSTEM.sub("", _QUOTED.sub(include, _read(file))))


def _near(tree: Path, file: Path, text: str) -> Iterator[Path]:
    """The headers that a text includes by a quoted name, where they are near the file."""
    for name in _QUOTED.findall(text):
        if header := _find(tree, file, name):
            yield header


def _find(tree: Path, file: Path, name: str) -> Path | None:
    """A header beside a file or in a folder above it, which drivers have in their include path."""
    for folder in list(file.parents)[: 1 + _FOLDERS_UP]:
        if not folder.is_relative_to(tree):
            break
        header = folder / name
        if header.is_file() and header.resolve().is_relative_to(tree.resolve()):
            return header
    return None


def expand(text: str, options: Mapping[str, str]) -> tuple[set[str], int]:
    """The firmware that a text asks for, and how many of its lines have no name that can be told.

    Raises:
        StageError: There is no gcc.
    """
    config = "".join(_define(name, value) for name, value in options.items())
    argv = ["gcc", "-E", "-P", "-undef", "-nostdinc", "-w", "-x", "c", "-"]
    try:
        done = subprocess.run(
            argv, input=(_MACROS + config + text).encode(), capture_output=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise StageError("gcc is not installed", hint="it tells what firmware the drivers ask for") from None
    except subprocess.TimeoutExpired:
        return set(), 1
    found, unclear = set(), 0
    for marked in _MARK.findall(done.stdout.decode(errors="replace")):
        # A macro of a header that is left out, made a string: its own name.
        argument = _MACRO_TEXT.sub("unknown", marked).replace("rosk_text", "")
        if _STRING.sub("", argument).strip() or not argument.strip():
            unclear += 1
        else:
            found.add("".join(_STRING.findall(argument)))
    return found, unclear


def _define(name: str, value: str) -> str:
    """What include/generated/autoconf.h has for an option."""
    if value in ("n", ""):
        return ""
    if value in ("y", "m"):
        return f"#define CONFIG_{name}{'_MODULE' if value == 'm' else ''} 1\n"
    return f"#define CONFIG_{name} {value}\n"


def asks(tree: Path, parts: Mapping[str, Iterable[str]], options: Mapping[str, str]) -> dict[str, tuple[set[str], int]]:
    """What each module that asks for firmware asks for, and how many of its lines have no name that can be told.

    Args:
        parts: Path of each module → its objects, as paths in the object tree.
        options: The config's values by option name.
    """
    sources = {(tree / part).with_suffix(".c") for each in parts.values() for part in each}
    with ThreadPoolExecutor() as pool:
        texts = {file: text for file in sorted(sources) if file.is_file() and (text := flatten(tree, file))}
        runs = {file: pool.submit(expand, text, options) for file, text in texts.items()}
    told = {file: run.result() for file, run in runs.items()}
    found = {}
    for path, objects in parts.items():
        results = [told[file] for part in objects if (file := (tree / part).with_suffix(".c")) in told]
        names = set().union(*(names for names, _ in results))
        unclear = sum(number for _, number in results)
        if names or unclear:
            found[path] = (names, unclear)
    return found


def _read(file: Path) -> str:
    return file.read_text(errors="replace")


def main() -> None:
    parser = argparse.ArgumentParser(prog="firmwareasks", description=__doc__)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True, help="the .config")
    parser.add_argument("--module-options", type=Path, required=True, help='{"kernel/fs/fat/fat.ko": "CONFIG_FAT_FS"}')
    parser.add_argument("--srcarch", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    values = config_values(args.config.read_bytes(), "config")
    known = json.loads(args.module_options.read_text())
    parts = {path: each for path, each in Kbuild(args.tree, args.srcarch).parts(values).items() if path in known}
    found = asks(args.tree, parts, values)
    write_json(
        args.out,
        {
            "asked": {path: sorted(names) for path, (names, _) in found.items() if names},
            "unclear": {path: number for path, (_, number) in found.items() if number},
        },
    )


if __name__ == "__main__":
    stage_main(main)
