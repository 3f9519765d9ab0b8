"""Apply a project's patches to the kernel tree, then run its hook scripts on it, then put its certificate in it.

The tree's journal (`builder.stages.journal`), what configuring reads of it (`builder.stages.kconfigtree`) and what the
headers package takes of it (`builder.stages.headerstree`) are brought up to date; a tree that hooks have worked on is
read again.

Patches are applied in the order of their names (bytewise) with `patch -p1` and no fuzz. There is no dry run before:
it would fail for a patch that changes one file twice. So a failed run leaves the tree half patched, to be thrown away
with the build stage.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from builder.stages import headerstree, journal, kconfigtree
from builder.stages.common import StageError, progress, run, stage_main
from builder.stages.patchfile import FilePatch, named_paths, parse_patch, real_name, without_text
from builder.stages.signingoptions import IN_TREE

# --forward never takes a patch back; --batch never asks; rejects are shown by line instead of left in files.
_PATCH = ("patch", "-p1", "--fuzz=0", "--forward", "--batch", "--unified", "--no-backup-if-mismatch", "--reject-file=-")
_PATCHING = re.compile(r"(?:patching|checking) (?:file|symbolic link) (.+?)(?: \((?:renamed|copied) from .+\))?$")
_FAILED = re.compile(r"Hunk #(\d+) FAILED at (\d+)")
_REVERSED = re.compile(r"Reversed \(or previously applied\) patch detected|which already exists!|which does not exist!")
_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=(.*)$", re.MULTILINE)
_PIPE = 1 << 20
"""More bytes than a pipe holds."""
_LOOK_SECONDS = 0.1
_ABSENT = re.compile(r"can't find file to patch at input line (\d+)")


def _by_name(path: Path) -> bytes:
    return os.fsencode(path.name)


def apply_patches(tree: Path, folder: Path) -> set[str] | None:
    """Apply every `*.patch` of `folder` to `tree`.

    Returns:
        Paths under the tree, of which none but these were touched; None when only reading the tree can tell.

    Raises:
        StageError: One is malformed or does not apply; `where` and `line` are the hunk's.
    """
    touched: set[str] = set()
    known = True
    for file in sorted(folder.glob("*.patch"), key=_by_name):
        name, content = f"patches/{file.name}", file.read_bytes()
        parts = parse_patch(content, name)
        diffs = without_text(content, parts)
        named = named_paths(diffs)
        known = known and named is not None and all(real_name(tree, path) == path for path in named)
        touched |= named or set()
        with NamedTemporaryFile() as input:
            input.write(diffs)
            input.flush()
            done = run([*_PATCH, f"--input={input.name}"], cwd=tree, env={"LC_ALL": "C"}, check=False)
        print(f"{name}: {len(parts)} files", flush=True)
        if done.returncode != 0:
            raise explain_failure(name, parts, (done.stdout + done.stderr).splitlines())
    return touched if known else None


def explain_failure(name: str, parts: Sequence[FilePatch], lines: Sequence[str]) -> StageError:
    """The error for a patch that did not apply, from what GNU patch printed (in the C locale)."""
    seen: list[str] = []
    for line in lines:
        if match := _PATCHING.match(line):
            seen.append(match[1].strip("'"))
        part = _current_part(parts, seen)
        if match := _FAILED.search(line):
            number = int(match[1])
            at = part.hunks[number - 1] if part and number <= len(part.hunks) else None
            file = part.path if part else "?"
            what = f"the patch does not apply: hunk {number} of {file} fails at its line {match[2]}"
            return StageError(
                what, hint="adapt the patch to this kernel version", where=name, line=at, details=lines[-20:]
            )
        if _REVERSED.search(line):
            file = part.path if part else "a file"
            return StageError(
                f"the patch is already applied, or its file is not as it expects: {file}",
                hint="delete the patch if this kernel version has it",
                where=name,
                line=part.line if part else None,
                details=lines[-20:],
            )
        if match := _ABSENT.search(line):
            at = int(match[1])
            missing = max((p for p in parts if p.line <= at), key=lambda p: p.line, default=None)
            return StageError(
                f"the patch changes a file that this tree lacks: {missing.path if missing else '?'}",
                hint="adapt the patch to this kernel version (patches are applied with -p1)",
                where=name,
                line=missing.line if missing else at,
                details=lines[-20:],
            )
    return StageError("the patch does not apply", hint="see what patch says", where=name, details=lines[-20:])


def _current_part(parts: Sequence[FilePatch], seen: Sequence[str]) -> FilePatch | None:
    """The part that patch is at when it has announced the files `seen`; one file can have several parts."""
    if not seen:
        return parts[0] if parts else None
    same = [part for part in parts if part.path == seen[-1]]
    return same[min(seen.count(seen[-1]), len(same)) - 1] if same else None


def hook_environment(tree: Path, info: Path, arch: str, srcarch: str) -> dict[str, str]:
    """What hooks are told, by kbuild's own names for it (Documentation/kbuild/kbuild.rst), and the source's time.

    Args:
        info: What the source stage found; its `epoch` counts.
    """
    top = (tree / "Makefile").read_text(errors="replace") if (tree / "Makefile").is_file() else ""
    found = {name: value.strip() for name, value in _VERSION.findall(top)}
    numbers = [found.get(name, "0") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    environment = {"ARCH": arch, "SRCARCH": srcarch, "KERNELVERSION": ".".join(numbers) + found.get("EXTRAVERSION", "")}
    if info.is_file():
        environment["SOURCE_DATE_EPOCH"] = str(json.loads(info.read_text())["epoch"])
    return environment


def run_hooks(tree: Path, folder: Path, environment: Mapping[str, str] | None = None) -> int:
    """Run every executable file of `folder`, in the order of the names, with `tree` as its working directory.

    Args:
        environment: Variables for them, beside those of the stage.

    Returns:
        How many there were.

    Raises:
        StageError: One failed; the details are the last lines that it printed.
    """
    found = [hook for hook in sorted(folder.glob("*"), key=_by_name) if hook.is_file() and os.access(hook, os.X_OK)]
    for number, hook in enumerate(found, 1):
        where = f"hooks/{hook.name}"
        progress(number, len(found), where)
        print(f"{where}:", flush=True)
        try:
            code, last = _run_hook(hook, tree, environment or {})
        except OSError as error:
            raise StageError(
                f"the hook cannot be run: {error.strerror}",
                hint="its first line has to name an interpreter of the toolchain image, as in #!/bin/sh",
                where=where,
            ) from error
        if code != 0:
            raise StageError(
                f"the hook failed with exit code {code}" if code > 0 else f"the hook was ended by {_signal(-code)}",
                hint="it runs in the patched kernel tree; see the last lines that it printed",
                where=where,
                details=last,
            )
    return len(found)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _run_hook(hook: Path, tree: Path, environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run a hook to its end, and show what it prints as it does; returns its exit code and the last lines of that."""
    reader, writer = os.pipe()
    last = b""
    with os.fdopen(reader, "rb", buffering=0):
        with os.fdopen(writer, "wb"):
            process = subprocess.Popen(
                [hook.resolve()],
                cwd=tree,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
            )
        for data in _said(process, reader):
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            last = (last + data)[-_PIPE:]
    if last and not last.endswith(b"\n"):
        print(flush=True)  # what the stage itself says begins a line
    return process.wait(), last.decode(errors="replace").splitlines()[-20:]


def _said(process: subprocess.Popen[bytes], reader: int) -> Iterator[bytes]:
    """What a process prints into a pipe, as it does; whoever else holds the pipe when it ends is not waited for."""
    while process.poll() is None:
        if select.select([reader], [], [], _LOOK_SECONDS)[0]:
            if not (data := os.read(reader, _PIPE)):
                return
            yield data
    os.set_blocking(reader, False)
    with suppress(BlockingIOError):
        yield os.read(reader, _PIPE)


def add_certificate(tree: Path, certificate: Path) -> None:
    """Put the certificate that the modules are signed for, where there is one, where the config names it."""
    if certificate.is_file():
        (tree / IN_TREE).parent.mkdir(exist_ok=True)
        shutil.copyfile(certificate, tree / IN_TREE)


def main() -> None:
    """Command line: `--tree T --patches DIR --hooks DIR` and what hooks are told; what does not exist holds nothing."""
    parser = argparse.ArgumentParser(prog="patch", description=__doc__)
    for option in ("--tree", "--journal", "--kconfig", "--headers", "--patches", "--hooks"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--certificate", "--info"):
        parser.add_argument(option, type=Path, default=Path("none"))
    for option in ("--arch", "--srcarch"):
        parser.add_argument(option, default="")
    args = parser.parse_args()
    touched = apply_patches(args.tree, args.patches)
    hooks = run_hooks(args.tree, args.hooks, hook_environment(args.tree, args.info, args.arch, args.srcarch))
    add_certificate(args.tree, args.certificate)
    before = journal.read(args.journal)
    if hooks or touched is None:
        now = journal.dump(journal.read_tree(args.tree))
    else:
        now = journal.update(args.tree, before, {*touched, IN_TREE})
    if now != before:
        journal.write(args.journal, now)
        changes = journal.compare(before, now)
        if kconfigtree.concerns(changes, args.kconfig):
            kconfigtree.pick(args.tree, now, args.kconfig)
        if parts := headerstree.concerned(changes, args.headers):
            headerstree.pick(args.tree, now, args.headers, parts)


if __name__ == "__main__":
    stage_main(main)
