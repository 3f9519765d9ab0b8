"""`rosk repro` from start to end.

The second build starts from the same inputs (toolchain, source and all that is the project's) and finds nothing else in
a cache. It leaves no trace in `dist`, among the engine's images and in the cache mounts of other builds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from builder import release
from builder.differ import differ
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.engine.install import Say
from builder.project import Project
from builder.repro.compare import compare
from builder.repro.differences import Look
from builder.repro.model import REPORT, Proof, ReproOptions
from builder.repro.preconditions import check_base, check_keep, check_unchanged, known_causes, read_manifest
from builder.repro.rebuild import build_again, keep, link_all, second_project, snapshot
from builder.repro.render import as_json, print_proof, report_lines, repro_error
from builder.repro.scope import own_scope
from builder.run import machine_note, prepare_for
from builder.stagenames import STAGES, shown_stage
from builder.view import View, make_view


def run_repro(project: Project, options: ReproOptions) -> Proof:
    """Build the release in `project.dist` again, compare, and print the result on standard output.

    Raises:
        ReproError: They differ.
        InputError: There is no release in `dist`, or it is not what the project would build now.
        RoskError: The second build failed, as a build does.
    """
    manifest = read_manifest(project)
    check_unchanged(project, manifest)
    check_keep(options.keep)
    console = Console(highlight=False, emoji=False, stderr=options.as_json)
    view = make_view(STAGES, console, shown=shown_stage, quiet=options.quiet, verbose=options.verbose)
    note = machine_note(view, quiet=options.quiet)
    engine, base = prepare_for(project, allow_install=options.allow_install, note=note, builder=options.builder)
    if not options.toolchain:
        check_base(base, manifest)
    notices = known_causes(project, manifest)
    for notice in notices:
        view.warn(notice)
    view.note("building the release again from nothing: this takes as long as the first build of all did")
    proof = replace(prove(project, engine, base, manifest, options, view=view, note=note), notices=notices)
    if options.as_json:
        print(json.dumps(as_json(project, manifest, proof), indent=1))
    else:
        print_proof(console, manifest, proof)
    if not proof.reproducible:
        raise repro_error(project, proof)
    return proof


def prove(
    project: Project,
    engine: Docker,
    base: BaseImage,
    manifest: Mapping[str, Any],
    options: ReproOptions,
    *,
    view: View,
    note: Say,
) -> Proof:
    """Build again and compare.

    Args:
        manifest: That of the release in `project.dist`.
        view: Shown the second build.
        note: Told what could not be cleaned up.
    """
    report = project.dist / REPORT
    with release.staging(project.dist) as folder, own_scope(engine, note) as scope:
        first = folder / "first"
        snapshot(project.dist, first, manifest)
        again = second_project(project, folder / "second", scope, toolchain=options.toolchain)
        # What is equal in both need not be fetched: the second build takes it over.
        link_all(first, again.dist / "kernel")
        second = build_again(again, engine, base, scope, view, report=report)
        proof = compare(manifest, second)
        archives = folder / "images"
        if not proof.reproducible:
            view.note("the builds differ: looking for what does")
            with differ(folder) as found:
                look = Look(differ=found, engine=engine, archives=archives)
                proof = replace(proof, differences=tuple(look.all(first, again.dist / "kernel", manifest, second)))
                report.write_text("\n".join(report_lines(proof)) + "\n")
        else:
            report.unlink(missing_ok=True)
        if options.keep:
            keep(options.keep, project, again.dist, archives, manifest, second)
    return proof
