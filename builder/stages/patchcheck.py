"""Say of each patch how it applies to a kernel tree, the patches before it applied, and write it with exact lines.

Writes `report.json`:

    {"kernel_version": "6.12.64", "order": null, "patches": [{"name": "0001-a.patch", "state": "applies", …}]}

and, into `refreshed/`, those patches that apply with an offset or with fuzz, as they would be without. `order` is an
order of all that apply in which they do, where it is not that of their names. The states:

    applies     as the build applies it (`offset`: how far off its lines are at most)
    fuzz        only with so many lines of context left out of account, which the build does not do
    upstream    the tree has it already
    duplicate   a patch before it does the same (`after`)
    order       it applies only after one that comes later (`after`)
    fails       it does not apply
    malformed   it is empty, no patch, cut off, or leaves the tree
    left-out    it is not meant for this kernel version
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.stages.common import StageError, stage_main, write_json
from builder.stages.patch import explain_failure
from builder.stages.patchfile import parse_patch
from builder.stages.patchlimits import read_limits
from builder.stages.patchrefresh import refreshed
from builder.stages.patchtry import FUZZ, Hunk, Outcome, Patch, State, read_parts, try_patch

_SHOWN_LINES = 30


@dataclass(kw_only=True)
class Result:
    """What is known of one patch.

    Attributes:
        name: Its file's name.
        state: One of the words above.
        offset, fuzz: The largest of its hunks.
        what, hint, line: As in an error, for a patch that cannot be applied; `line` is in the patch.
        after: The patch that it needs, or repeats.
        files: The files that it touches.
        hunks: Those that do not stand where it says; of one that fails, all that do not fit.
        text: The first hunk that does not fit.
        notes: What else is to be said, a line each.
    """

    name: str
    state: str = "applies"
    offset: int = 0
    fuzz: int = 0
    what: str = ""
    hint: str = ""
    line: int | None = None
    after: str | None = None
    files: list[str] = field(default_factory=list)
    hunks: list[Hunk] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Check:
    """One run through the patches.

    Args:
        tree: The kernel tree, which stays as it is.
        version: Its kernel version.
        folder: Where patches are tried.
    """

    def __init__(self, tree: Path, version: str, folder: Path) -> None:
        self.state = State(tree=tree, folder=folder)
        self.version = version
        self.results: dict[str, Result] = {}
        self.refreshed: dict[str, bytes] = {}
        self.order: list[str] = []
        self._applied: list[tuple[Patch, State]] = []
        self._waiting: list[Patch] = []
        self._upstream: set[str] = set()

    def run(self, files: Sequence[Path]) -> None:
        """Check the patches in this order."""
        patches = [patch for file in files if (patch := self._read(file))]
        self._find_upstream(patches)
        for at, patch in enumerate(patches):
            self._place(patch, patches[at + 1 :])
        for patch in self._waiting:
            self._fail(patch)

    def report(self) -> dict[str, Any]:
        """What `report.json` holds."""
        other = any(result.state == "order" for result in self.results.values())
        patches = [asdict(result) for result in self.results.values()]
        return {"kernel_version": self.version, "order": self.order if other else None, "patches": patches}

    def _read(self, file: Path) -> Patch | None:
        """A patch that is meant for this version and can be read."""
        result = self.results[file.name] = Result(name=file.name)
        try:
            content = file.read_bytes()
            parts = parse_patch(content, file.name)
            limits = read_limits(content, file.name)
        except StageError as error:
            result.state, result.what, result.hint, result.line = "malformed", error.what, error.hint, error.line
            return None
        patch = read_parts(content, file.name, parts)
        result.files = list(dict.fromkeys(part.path for part in parts))
        if not limits.admit(self.version):
            result.state, result.what = "left-out", f"it is for {limits.text}, and this is {self.version}"
            return None
        return patch

    def _find_upstream(self, patches: Sequence[Patch]) -> None:
        """Find the patches that can be taken back from the tree, the last one first: they build on each other."""
        state = self.state
        for patch in reversed(patches):
            back = try_patch(state, patch, reverse=True)
            if back.ok and not try_patch(self.state, patch).ok:
                self._upstream.add(patch.name)
                state = back.state

    def _place(self, patch: Patch, later: Sequence[Patch]) -> None:
        """Find out how a patch applies now; what could only apply after others waits for them."""
        outcome = try_patch(self.state, patch)
        if outcome.ok:
            hunks = any(part.hunks for part in patch.parts)
            if hunks and try_patch(self.state.pristine, patch, reverse=True).ok:
                self.results[patch.name].notes.append(
                    "the tree seems to have it already: it can also be taken back from there"
                )
            self._accept(patch, outcome)
        elif self._is_there(patch):
            return
        elif (fuzzy := try_patch(self.state, patch, fuzz=FUZZ)).ok and not self._is_too_early(patch, later):
            self.results[patch.name].state = "fuzz"
            self._accept(patch, fuzzy)
        else:
            self._waiting.append(patch)

    def _accept(self, patch: Patch, outcome: Outcome) -> None:
        """Put a patch on the tree, then those that waited for it."""
        result, before = self.results[patch.name], self.state
        result.hunks = list(outcome.hunks)
        result.offset = max((hunk.offset for hunk in outcome.hunks), key=abs, default=0)
        result.fuzz = max((hunk.fuzz for hunk in outcome.hunks), default=0)
        if outcome.hunks:
            self._refresh(patch, before, outcome)
        self.state = outcome.state
        self.order.append(patch.name)
        self._applied.append((patch, self.state))
        for waiting in self._waiting:
            if (now := try_patch(self.state, waiting)).ok:
                self._waiting.remove(waiting)
                late = self.results[waiting.name]
                late.state, late.after = "order", patch.name
                late.what = f"it applies only after {patch.name}, which comes later"
                late.hint = "give it a name that comes after that one's"
                self._accept(waiting, now)
                return

    def _refresh(self, patch: Patch, before: State, outcome: Outcome) -> None:
        """Keep the patch with exact lines, once it is known to do the same."""
        content = refreshed(patch, before, outcome)
        try:
            again = read_parts(content, patch.name, parse_patch(content, patch.name))
        except StageError:
            again = None
        exact = try_patch(before, again) if again else None
        same = exact is not None and exact.ok and not exact.hunks and _same(exact.state, outcome.state, patch)
        if same and content != patch.content:
            self.refreshed[patch.name] = content
        else:
            self.results[patch.name].notes.append("its lines cannot be made exact without another look: make it again")

    def _is_there(self, patch: Patch) -> bool:
        """Whether the tree, or a patch before, does the same already; the result then says so."""
        result = self.results[patch.name]
        if patch.name in self._upstream:
            result.state = "upstream"
            result.what = f"{self.version} has it already"
            result.hint = "delete the patch, or limit it to the versions that lack it (X-Rosk-Kernel)"
            return True
        if not try_patch(self.state, patch, reverse=True).ok:
            return False
        for other, state in self._applied:
            if other.files & patch.files and try_patch(state, patch, reverse=True).ok:
                result.state, result.after = "duplicate", other.name
                result.what, result.hint = f"{other.name} does the same before it", "delete one of the two"
                return True
        return False

    def _is_too_early(self, patch: Patch, later: Sequence[Patch]) -> bool:
        """Whether a patch that takes fuzz now would take none after one that comes later."""
        for other in later:
            if other.files & patch.files:
                after = try_patch(self.state, other)
                if after.ok and try_patch(after.state, patch).ok:
                    return True
        return False

    def _fail(self, patch: Patch) -> None:
        """Say where a patch fails on the tree with all that apply."""
        result = self.results[patch.name]
        outcome = try_patch(self.state, patch)
        error = explain_failure(patch.name, patch.parts, outcome.printed)
        result.state, result.what, result.hint, result.line = "fails", error.what, error.hint, error.line
        result.hunks = [hunk for hunk in outcome.hunks if hunk.failed]
        if result.hunks:
            result.text = _hunk_text(patch, result.hunks[0].line)
            total = sum(len(part.hunks) for part in patch.parts)
            result.notes += [f"{len(result.hunks)} of its {total} hunks do not fit"] if total > 1 else []


def _same(state: State, other: State, patch: Patch) -> bool:
    return all(state.content(name) == other.content(name) for name in patch.files)


def _hunk_text(patch: Patch, line: int) -> list[str]:
    """The lines of the hunk that starts at a line of the patch, the first ones of a long one."""
    starts = [number for part in patch.parts for number in (part.line, *part.hunks) if number > line]
    end = min(starts, default=None)
    lines = patch.content.split(b"\n")[line - 1 : end - 1 if end else None]
    texts = [text.decode(errors="replace").rstrip() for text in lines]
    body = [text for at, text in enumerate(texts) if at == 0 or text[:1] in (" ", "+", "-", "\\") or not text]
    while body and (not body[-1] or body[-1] in ("--", "-- ")):
        body.pop()
    return body[:_SHOWN_LINES]


def check_patches(tree: Path, version: str, files: Sequence[Path]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Check patches against a tree, which stays as it is.

    Args:
        files: The patches, in the order in which they are to be applied.

    Returns:
        The report, and the refreshed patches by name.
    """
    with TemporaryDirectory(prefix="rosk-") as folder:
        check = Check(tree, version, Path(folder))
        check.run(files)
        return check.report(), check.refreshed


def main() -> None:
    """Command line: `--tree T --info source.json --patches DIR --out DIR`."""
    parser = argparse.ArgumentParser(prog="patchcheck", description=__doc__)
    for option in ("--tree", "--info", "--patches", "--out"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    version = json.loads(args.info.read_text())["kernel_version"]
    files = sorted(args.patches.glob("*.patch"), key=lambda path: os.fsencode(path.name))
    report, exact = check_patches(args.tree, version, files)
    write_json(args.out / "report.json", report)
    for name, content in exact.items():
        (args.out / "refreshed").mkdir(exist_ok=True)
        (args.out / "refreshed" / name).write_bytes(content)


if __name__ == "__main__":
    stage_main(main)
