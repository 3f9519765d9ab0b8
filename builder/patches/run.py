"""`rosk patches`: check, refresh, import, table. What each does is in the module that it calls."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from builder.choice import choose
from builder.errors import InputError
from builder.files import file_errors
from builder.inputs.check import within
from builder.inputs.store import write_atomically
from builder.patches import importing, render, table
from builder.patches.check import TITLES, Checked, after_refresh, check_source, check_tree, shown_stage
from builder.patches.series import PatchFile, read_series
from builder.project import SETTINGS_FILE, load_project
from builder.release import shown_path
from builder.run import prepare_for
from builder.settings import load_settings
from builder.view import clean, make_view


@dataclass(frozen=True, kw_only=True)
class PatchOptions:
    """What to check, and how.

    Attributes:
        root: The project's folder.
        kernel: A kernel.org version instead of the settings' kernel.
        arch, flavour: As of `builder.project.load_project`. With a flavour, what is written goes to its own folder.
        tree: A kernel tree of this machine to check against, with no engine; None: the project's kernel.
        strict: What only makes a build less than exact fails too: an offset, a stale table.
        table: Bring the table up to date.
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with; the engine's own when None.
        as_json: Print the result as one JSON object, and nothing else on standard output.
        verbose: Print the whole log of the engine.
    """

    root: Path
    kernel: str | None = None
    arch: str | None = None
    flavour: str | None = None
    tree: Path | None = None
    strict: bool = False
    table: bool = False
    allow_install: bool = True
    builder: str | None = None
    as_json: bool = False
    verbose: bool = False

    @property
    def folder(self) -> Path:
        """The folder whose patches are written.

        Raises:
            InputError: See `folders`; or the flavour has none.
        """
        folders = self.folders
        if self.flavour is not None and len(folders) == 1:
            hint = "give it `patches` in the settings, or leave out --flavour for those of the project"
            raise InputError(f"the flavour {self.flavour} has no patches of its own", hint=hint)
        return folders[-1 if self.flavour is not None else 0]

    @property
    def folders(self) -> list[Path]:
        """The folders whose patches a build applies.

        Raises:
            InputError: There is no project, or no such kernel in it.
        """
        root = self.root.resolve()
        if not (root / SETTINGS_FILE).is_file():
            raise InputError(
                "there is no such file",
                where=root / SETTINGS_FILE,
                hint="run it in a project's folder, or name it with -C",
            )
        settings = load_settings(root / SETTINGS_FILE)
        return choose(settings, arch=self.arch, flavour=self.flavour).patches(root, settings)


def run_check(options: PatchOptions) -> Checked:
    """Check each patch, and print what was found.

    Raises:
        InputError: A build with these patches fails; with `strict` also: one is off its lines, or the table is stale.
        RoskError: They could not be checked.
    """
    folders = options.folders
    checked = _checked(options, read_series(*folders))
    tables = [(folder, read_series(folder)) for folder in folders]
    if options.table:
        for folder, patches in tables:
            _write_table(folder, patches, checked.upstream)
    stale = [folder for folder, patches in tables if table.is_stale(folder, patches, checked.upstream)]
    if options.as_json:
        print(json.dumps(render.as_json(checked, stale=bool(stale)), indent=1))
    else:
        _print([*render.lines(checked), render.summary(checked)])
        for folder in stale:
            _tell(f"{shown_path(folder / table.NAME)} is stale: `rosk patches check --table` brings it up to date")
    _fail(checked, options, folders[-1], stale=stale)
    return checked


def run_refresh(options: PatchOptions, *, names: Sequence[str] = (), dry_run: bool = False) -> list[str]:
    """Write the patches that apply off their lines again with exact lines and context.

    Args:
        names: Only these (file names).
        dry_run: Only print what would change.

    Returns:
        The names of those that changed.

    Raises:
        InputError: There is no patch of such a name, or one of those named cannot be refreshed.
        RoskError: They could not be checked, or not written.
    """
    patches = read_series(options.folder)
    files = {patch.name: patch for patch in patches}
    wanted = {Path(name).name for name in names} or set(files)
    if unknown := sorted(wanted - set(files)):
        raise InputError(
            f"there is no patch {unknown[0]}", where=shown_path(options.folder), hint="name one of its files"
        )
    checked = _checked(options, read_series(*options.folders))
    fresh = {name: content for name, content in checked.refreshed.items() if name in wanted}
    if not dry_run:
        for name, content in fresh.items():
            _write(files[name], content)
        patches = read_series(options.folder)
        _write_table(options.folder, patches, checked.upstream)
    if options.as_json:
        stale = table.is_stale(options.folder, patches, checked.upstream)
        now = checked if dry_run else after_refresh(checked, fresh)
        print(json.dumps(render.as_json(now, stale=stale, refreshed=sorted(fresh)), indent=1))
    else:
        done = "would be refreshed" if dry_run else "refreshed"
        for name, content in fresh.items():
            _print([f"{name}: {done}", *(_difference(files[name].content, content, name) if dry_run else ())])
        if not fresh:
            _print(["no patch could be refreshed" if checked.bad else "no patch is off its lines"])
    off = [*checked.bad, *checked.inexact]
    left = [patch for patch in off if patch["name"] in wanted and patch["name"] not in checked.refreshed]
    if left:
        raise InputError(
            f"{left[0]['name']} cannot be refreshed: {render.status(left[0], checked.version)}",
            where=shown_path(options.folder),
            hint="see `rosk patches check`",
            details=[f"{patch['name']}: {render.status(patch, checked.version)}" for patch in left[1:]],
        )
    return sorted(fresh)


def run_import(
    options: PatchOptions, sources: Sequence[str], *, git: Path | None = None, dry_run: bool = False
) -> list[str]:
    """Import patches after those that there are, and bring the table up to date.

    Args:
        sources: Mailboxes; with `git` ranges of its commits.
        git: A git tree of this machine.
        dry_run: Only print what would be written.

    Returns:
        The names of the new patches.

    Raises:
        InputError: One is no patch, or is there already; then nothing is imported.
    """
    folder = options.folder
    news: list[importing.New] = []
    for source in sources:
        found, passed = (importing.from_git(git, source), []) if git else importing.from_mailbox(Path(source))
        news += found
        for subject in passed:
            _tell(f"{source}: no patch in {subject!r}")
    named = importing.named(news, read_series(*options.folders))
    if not dry_run:
        importing.write_patches(folder, named)
        _write_table(folder, read_series(folder), None)
    if options.as_json:
        print(json.dumps({"imported": list(named), "folder": str(folder), "dry_run": dry_run}, indent=1))
    else:
        _print([f"{'would be ' if dry_run else ''}imported: {name}" for name in named])
        if not dry_run:
            _tell("`rosk patches check` says how they apply")
    return list(named)


def run_table(options: PatchOptions) -> None:
    """Bring the table of the patches up to date, from what they say; print it when it is wanted as JSON.

    Raises:
        InputError: A patch or the table cannot be read or written.
    """
    patches = read_series(options.folder)
    if options.as_json:
        print(json.dumps(table.rows(patches, table.known_upstream(table.read_table(options.folder))), indent=1))
        return
    changed = _write_table(options.folder, patches, None)
    _print([f"{shown_path(options.folder / table.NAME)} {'is up to date now' if changed else 'was up to date'}"])


def _checked(options: PatchOptions, patches: Sequence[PatchFile]) -> Checked:
    """What a check of the patches finds; an engine is asked only where there is something to check."""
    if not patches:
        return Checked(version="", patches=(), refreshed={})
    if options.tree is not None:
        return check_tree(patches, options.tree)
    _refuse_malformed(patches, options.root.resolve())
    project = load_project(options.root, kernel=options.kernel, arch=options.arch, flavour=options.flavour)
    screen = Console(highlight=False, emoji=False, stderr=True)
    view = make_view(TITLES, screen, shown=shown_stage, verbose=options.verbose)
    engine, base = prepare_for(project, allow_install=options.allow_install, note=view.note, builder=options.builder)
    return check_source(project, engine, base, view)


def _refuse_malformed(patches: Sequence[PatchFile], root: Path) -> None:
    """Name every patch that is none, before an engine is asked.

    Raises:
        InputError: There is one.
    """
    wrong = [(within(patch.path, root), patch.error) for patch in patches if patch.error]
    if wrong:
        path, error = wrong[0]
        more = [f"{other}:{each.line}: {each.what}" for other, each in wrong[1:]]
        raise InputError(error.what, where=path, line=error.line, hint=error.hint, details=more)


def _fail(checked: Checked, options: PatchOptions, folder: Path, *, stale: Sequence[Path]) -> None:
    if checked.bad:
        what = f"a build with these patches fails for {checked.version}"
        raise InputError(what, where=shown_path(folder), hint=render.hint(checked))
    if options.strict and checked.inexact:
        names = ", ".join(patch["name"] for patch in checked.inexact)
        raise InputError(f"off their lines: {names}", where=shown_path(folder), hint="run `rosk patches refresh`")
    if options.strict and stale:
        raise InputError(
            "the table is stale", where=shown_path(stale[0] / table.NAME), hint="run `rosk patches check --table`"
        )


def _write(patch: PatchFile, content: bytes) -> None:
    file = patch.path.resolve()
    with file_errors(file.parent, name="folder of the patches", full="free some space", refused="see its rights"):
        mode = file.stat().st_mode
        write_atomically(file, content)
        file.chmod(mode)


def _write_table(folder: Path, patches: Sequence[PatchFile], upstream: dict[str, str] | None) -> bool:
    """Bring the table up to date; a project with neither patches nor table gets none."""
    if not patches and not (folder / table.NAME).exists():
        return False
    with file_errors(folder, name="folder of the patches", full="free some space", refused="see its rights"):
        return table.write_table(folder, patches, upstream)


def _difference(old: bytes, new: bytes, name: str) -> list[str]:
    before, after = (text.decode(errors="replace").splitlines() for text in (old, new))
    return list(difflib.unified_diff(before, after, name, f"{name} (refreshed)", lineterm="", n=0))


def _print(texts: Sequence[str], *, stderr: bool = False) -> None:
    """Print lines; what a patch says is text of others, and moves no cursor."""
    console = Console(highlight=False, emoji=False, soft_wrap=True, stderr=stderr)
    for text in texts:
        console.print(clean(text.encode(errors="replace").decode()), markup=False)


def _tell(text: str) -> None:
    _print([text], stderr=True)
