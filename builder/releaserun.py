"""`rosk release`: what os-kernel's `make release` is, with proofs: build, verify, boot, publish, and a summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

from builder.build import Built
from builder.project import Project
from builder.release import BOOT, VERIFY
from builder.run import BuildOptions, run_build


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    """How to make a release.

    Attributes:
        build: How to build; its `push` says whether to publish, `everywhere` where to.
        boot: Boot it, too.
        allow_unchecked: A check that could not be done, for want of a program, is no failure.
    """

    build: BuildOptions
    boot: bool = False
    allow_unchecked: bool = False


def run_release(project: Project, options: ReleaseOptions) -> Built:
    """Build a release, prove it, and publish it when asked to; nothing is published that does not pass.

    Raises:
        RoskError: See `builder.run.run_build`, `builder.verify.run.run_verify` and `builder.boot.run.run_boot`. Once it
            is built, `dist` has the new release.
    """

    def prove(project: Project) -> Mapping[str, Any]:
        with _output(options.build):
            return dict(_proofs(project, options))

    build = replace(options.build, allow_unchecked=options.allow_unchecked)
    (built,) = run_build((project,), build, prove=prove)
    if not options.build.as_json and not options.build.quiet:
        print("`rosk install-into OS_CHECKOUT` puts it into an OS, `rosk services DIR` has machines find its images")
    return built


@contextmanager
def _output(options: BuildOptions) -> Iterator[None]:
    """Standard output is for the one JSON object, when that is asked for."""
    if not options.as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def _proofs(project: Project, options: ReleaseOptions) -> Iterator[tuple[str, Any]]:
    """What verify and boot found, each by its name."""
    from builder.verify.run import VerifyOptions, run_verify  # noqa: PLC0415 - not before the build

    run_verify(project.dist, VerifyOptions(allow_unchecked=options.allow_unchecked))
    yield "verify", json.loads((project.dist / VERIFY).read_text())
    if options.boot:
        from builder.boot.run import BootOptions, run_boot  # noqa: PLC0415

        run_boot(project.dist, BootOptions(allow_install=options.build.allow_install))
        yield "boot", json.loads((project.dist / BOOT).read_text())
