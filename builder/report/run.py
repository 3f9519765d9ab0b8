"""`rosk report`: writes `dist/report.html` from what is in a release's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.errors import InputError
from builder.release import BOOT, BUILD, MANIFEST, REPORT, VERIFY, describe, staging
from builder.releasefolder import ReleaseFolder, find_release
from builder.report.contents import read_contents
from builder.report.data import Known, report_model
from builder.report.page import page
from builder.report.record import BootFacts, BuildFacts, VerifyFacts, check_manifest, read_facts
from builder.stages.common import StageError
from builder.stages.dotconfig import config_values
from builder.verify.unpack import Contents


def write_report(root: Path) -> Path:
    """Write the report of the release in a folder, and return its path, `root`/report.html.

    Raises:
        InputError: There is no release, or a file of it cannot be read.
        NoSpaceError: The disk is full.
    """
    html = report_text(root)
    target = root / REPORT
    with staging(root) as folder:
        (folder / REPORT).write_text(html, encoding="utf-8")
        (folder / REPORT).replace(target)
    return target


def report_text(root: Path, packages: Mapping[str, Contents] | None = None) -> str:
    """The report of the release in a folder, as HTML.

    Args:
        packages: What its packages hold, by kind, where they have just been read.

    Raises:
        InputError: There is no release, or a file of it cannot be read.
    """
    return page(report_model(read_release(find_release(root), packages)))


def read_release(release: ReleaseFolder, packages: Mapping[str, Contents] | None = None) -> Known:
    """Read all that a report is made of, but for packages that have been read.

    Raises:
        InputError: A file of the release is not what it has to be.
    """
    root, manifest = release.root, release.root / MANIFEST
    check_manifest(release.manifest, manifest)
    build = read_facts(root / BUILD, BuildFacts)
    return Known(
        release=release,
        manifest=describe(manifest)["sha256"] if release.manifest else None,
        contents=read_contents(release, packages or {}, modules=build is None or not build.modules),
        options=_options(release.file("config")),
        build=build,
        verify=read_facts(root / VERIFY, VerifyFacts),
        boot=read_facts(root / BOOT, BootFacts),
    )


def _options(config: Path) -> dict[str, str]:
    """The options of the shipped config; none when it is not there."""
    try:
        return config_values(config.read_bytes(), config.name)
    except FileNotFoundError:
        return {}
    except StageError as error:
        raise InputError(error.what, where=config, line=error.line, hint="build the release again") from error
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        raise InputError(what, where=config, hint="build the release again") from error
