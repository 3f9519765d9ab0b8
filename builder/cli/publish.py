"""`rosk publish` and `rosk pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    AllowUncheckedOption,
    AllowUnsignedOption,
    ArchOption,
    FlavourOption,
    JsonOption,
    KeyOption,
    ProjectOption,
    RegistryOption,
    release_folder,
)

_TO = (
    "Publish there instead: oci:FOLDER, folder:FOLDER, https://HOST/PATH, github:OWNER/NAME, or a registry; may be "
    "given several times."
)


@app.command()
def publish(
    dist: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIST",
            help="Folders of releases, with all that are below them.",
            show_default="dist of the project",
        ),
    ] = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    registry: RegistryOption = None,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="PLACE", help=_TO)] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="oci:FOLDER", help="Publish what an OCI layout has, with no engine."),
    ] = None,
    moving_tag: Annotated[
        list[str] | None,
        typer.Option(
            "--moving-tag",
            metavar="TAG",
            help="Have this tag follow the release ({series} in it is 6.12); may be given several times.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there under the same name with other content.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask what is missing where, say what would be sent, and send nothing.")
    ] = False,
    key: KeyOption = None,
    allow_unsigned: AllowUnsignedOption = False,
    allow_unchecked: AllowUncheckedOption = False,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")] = False,
) -> None:
    """Publish a release: its images and files to registries, its files to folders, servers and GitHub.

    Without --registry and --to, to every place of the settings. Exits with 7 unless all is where it should be; run
    again, it sends what is missing. With --arch or --flavour it is the release of that kernel alone. Exits with 10, and
    sends nothing, for a release that `rosk verify --fast` fails, with these options and keys.
    """
    from builder.publish.command import Publication, only_registry, run_publish  # noqa: PLC0415
    from builder.publish.gate import Terms  # noqa: PLC0415
    from builder.trust.run import trusted_keys  # noqa: PLC0415

    alone = arch is not None or flavour is not None
    if alone and source is None:
        dist = [release_folder(dist[0] if dist else None, project, arch=arch, flavour=flavour)]
    run_publish(
        Publication(
            project=project,
            folders=tuple(dist or ()),
            alone=alone,
            source=source,
            places=(*map(only_registry, registry or ()), *(to or ())),
            moving=tuple(moving_tag or ()),
            overwrite=overwrite,
            dry_run=dry_run,
            terms=Terms(
                keys=trusted_keys(project, key or ()), allow_unsigned=allow_unsigned, allow_unchecked=allow_unchecked
            ),
            as_json=as_json,
            quiet=quiet,
        )
    )


@app.command()
def pull(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="HOST/ORG/os-kernel-release:V, or oci:FOLDER[:NAME] of a layout.")
    ],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="The folder to write; new or empty.", show_default="./V-A"),
    ] = None,
    project: ProjectOption = Path(),
    key: KeyOption = None,
    allow_unsigned: AllowUnsignedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Get the files of a published release, as `rosk build` left them in dist, each checked.

    With --key, or trust.keys in the settings, exits with 10 and writes nothing unless one of these has signed it.
    """
    from builder.publish.command import run_pull  # noqa: PLC0415
    from builder.trust.run import trusted_keys  # noqa: PLC0415

    keys = trusted_keys(project, key or ())
    run_pull(reference, into=into, project=project, keys=keys, allow_unsigned=allow_unsigned, as_json=as_json)
