"""`rosk cache`: what is printed of what is kept, and exports and imports from start to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from builder import graph, release
from builder.buildlog import BuildLog
from builder.caches import Pruned, Row, ago, run_prune, show
from builder.cachespec import Caches, told
from builder.cachetransfer import export_cache, import_cache, project_caches
from builder.ccache import ccache_config
from builder.engine.docker import Docker
from builder.engine.events import BuildResult
from builder.errors import RoskError
from builder.external.sources import module_sources
from builder.hostcache import in_use
from builder.inputs.fetch import default_cache
from builder.project import Project
from builder.release import human_size
from builder.run import prepare_for
from builder.signing.key import read_key
from builder.solver import Builder
from builder.stagenames import STAGES, shown_stage
from builder.view import make_view

Transfer = Callable[..., BuildResult]


def print_cache(*, builder: str | None, as_json: bool) -> None:
    """Print what is kept, how large it is, when it was used, and what losing it costs.

    Raises:
        EngineError: The engine cannot tell.
    """
    rows = show(Docker(builder).build_cache, default_cache())
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    _print_rows(rows)


def print_prune(
    *, builder: str | None, older_than: str | None, keep: str | None, all: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove what is old or too much, and print what went.

    Raises:
        InputError: The age or the size is none.
        EngineError: The engine refused.
    """
    store = Docker(builder).build_cache
    pruned = run_prune(store, default_cache(), older_than=older_than, keep=keep, all=all, dry_run=dry_run)
    if as_json:
        print(json.dumps(asdict(pruned), indent=1))
        return
    _print_pruned(pruned, dry_run=dry_run)


def run_export(project: Project, dest: str, *, builder: str | None, allow_install: bool) -> None:
    """Write the project's finished stages to a cache; builds what is not built yet.

    Raises:
        RoskError: It could not be built or written.
    """
    _transfer(project, export_cache, dest, builder=builder, allow_install=allow_install)


def run_import(project: Project, source: str, *, builder: str | None, allow_install: bool) -> None:
    """Bring the project's finished stages from a cache into the engine.

    Raises:
        RoskError: There is no such cache.
    """
    _transfer(project, import_cache, source, builder=builder, allow_install=allow_install)


def _transfer(project: Project, transfer: Transfer, place: str, *, builder: str | None, allow_install: bool) -> None:
    console = Console(highlight=False, emoji=False)
    view = make_view(STAGES, console, shown=shown_stage)
    engine, base = prepare_for(project, allow_install=allow_install, note=view.note, builder=builder)
    caches = project_caches(project, warn=view.warn)
    with (
        view,
        in_use(default_cache()),
        release.staging(project.dist) as folder,
        BuildLog(folder / "build.log", folder / "kept.log") as log,
    ):
        own = Builder(project=project, engine=engine, base=base, view=view, log=log, folder=folder, caches=caches)
        key, modules = read_key(project, warn=view.warn), module_sources(project, view.note)
        with ccache_config(project, folder, engine.gateway) as ccache:
            result = _solve(own, own.context(ccache, key, modules), transfer, place, caches)
    for warning in told(own.warnings):
        view.warn(warning)
    ran, cached = (", ".join(name for name in STAGES if name in stages) for stages in (result.ran, result.cached))
    console.print(f"there already: {cached or 'nothing'}\nbuilt or moved: {ran or 'nothing'}", soft_wrap=True)


def _solve(builder: Builder, context: graph.Context, transfer: Transfer, place: str, caches: Caches) -> BuildResult:
    try:
        resolved = builder.resolve(context)
        builder.limit_patches(context, resolved)
        return transfer(builder, context, resolved, place, caches=caches)
    except RoskError as error:
        builder.log.line(f"error: {error}")
        raise


def _print_rows(rows: Sequence[Row]) -> None:
    table = Table("what", "size", "last used", "when it is lost", box=None, header_style="bold")
    for row in sorted(rows, key=lambda row: -row.size):
        used = "now" if row.in_use else ago(row.idle)
        table.add_row(Text(row.what), Text(human_size(row.size), justify="right"), Text(used), Text(row.cost))
    console = Console(highlight=False, emoji=False)
    console.print(table)
    console.print(f"\n{human_size(sum(row.size for row in rows))} in all; `rosk cache prune` makes room")


def _print_pruned(pruned: Pruned, *, dry_run: bool) -> None:
    console = Console(highlight=False, emoji=False)
    for row in pruned.rows:
        console.print(f"{human_size(row.size):>8}  {row.what}", markup=False)
    for reason in pruned.stayed:
        console.print(reason, markup=False)
    word = "would be" if dry_run else "were"
    console.print(f"{human_size(pruned.freed)} {word} freed; {human_size(pruned.left)} kept")
