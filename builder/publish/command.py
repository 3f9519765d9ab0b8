"""The commands `rosk publish` and `rosk pull`: from their options to what they print."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from builder.engine.docker import Docker
from builder.errors import InputError
from builder.project import SETTINGS_FILE
from builder.publish import run, spots
from builder.publish.gate import Terms
from builder.publish.http import Http
from builder.publish.pull import pull
from builder.publish.render import make_watch
from builder.publish.sources import find_releases
from builder.release import shown_path
from builder.releasefolder import ReleaseFolder, find_release
from builder.settings import Registry, Settings, load_settings
from builder.settings.grammar import MOVING_TAG


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What `rosk publish` was asked for.

    Attributes:
        project: Its folder has the settings; not needed when all is said on the command line.
        folders: Of releases; the project's `dist` when there are none.
        alone: Only the release of each folder, not those in folders below it.
        source: `oci:FOLDER` to publish from, instead of folders.
        places: Those of the command line, which take the place of the settings'.
        moving: Tags that follow the release, beside those of the settings.
        terms: What a release has to pass.
    """

    project: Path
    folders: tuple[Path, ...] = ()
    alone: bool = False
    source: str | None = None
    places: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    overwrite: bool = False
    dry_run: bool = False
    terms: Terms = field(default_factory=Terms)
    as_json: bool = False
    quiet: bool = False


def run_publish(asked: Publication) -> None:
    """Publish, and print what is where.

    Raises:
        RoskError: See `run.publish_folders` and `run.finish`.
    """
    root = asked.project.resolve()
    settings = _settings(root, needed=not asked.places)
    where = spots.of_words(asked.places, settings, root) if asked.places else _of_settings(settings, root)
    for tag in asked.moving:
        if not re.fullmatch(MOVING_TAG.pattern, tag):
            raise InputError(f"{tag!r} is not {MOVING_TAG.what}", hint=MOVING_TAG.how)
    console = Console(highlight=False, emoji=False, stderr=asked.as_json)
    told = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def note(line: str) -> None:
        if not asked.quiet:
            told.print(Text(line))

    options = run.PublishOptions(
        moving=asked.moving, overwrite=asked.overwrite, dry_run=asked.dry_run, terms=asked.terms
    )
    with make_watch(console, quiet=asked.quiet) as watch:
        if asked.source:
            layout = _layout(asked.source, asked)
            outcomes = run.publish_layout(layout, where, options, watch=watch, note=note)
        else:
            find = _one if asked.alone else find_releases
            folders = [each for folder in asked.folders or (root / "dist",) for each in find(folder)]
            org = settings.org if settings else ""
            outcomes = run.publish_folders(folders, where, options, engine=Docker, org=org, watch=watch, note=note)
    run.finish(outcomes, console, as_json=asked.as_json, quiet=asked.quiet, dry_run=asked.dry_run)


def only_registry(word: str) -> str:
    """A word that names a registry, not another place.

    Raises:
        InputError: It is one of those that --to takes.
    """
    if re.match(r"(?:https?://|oci:|folder:|github:)", word):
        raise InputError(f"{word!r} is no registry", hint="write HOST[:PORT][/PREFIX]; other places are for --to")
    return word


def _one(folder: Path) -> list[ReleaseFolder]:
    return [find_release(folder)]


def run_pull(
    reference: str,
    *,
    into: Path | None,
    project: Path,
    keys: Sequence[Path],
    allow_unsigned: bool = False,
    as_json: bool = False,
) -> None:
    """Pull a release, and print where it is.

    Args:
        keys, allow_unsigned: Who must have signed it; see `pull.pull`.

    Raises:
        RoskError: See `pull.pull`.
    """
    settings = _settings(project.resolve(), needed=False)
    told = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def known(host: str) -> Registry:
        return spots.registry(host, settings)

    def http(registry: Registry) -> Http:
        return Http(ca=spots.Spots(root=project.resolve()).ca(registry))

    def note(line: str) -> None:
        told.print(Text(line))

    found = pull(reference, into=into, registry=known, note=note, http=http, keys=keys, allow_unsigned=allow_unsigned)
    folder = found.folder.absolute()
    if as_json:
        print(
            json.dumps({"release": found.v, "arch": found.a, "digest": found.digest, "folder": str(folder)}, indent=1)
        )
    else:
        told.print(Text(f"Kernel {found.v} for {found.a}, {found.digest}"))
        print(shown_path(folder))


def _settings(root: Path, *, needed: bool) -> Settings | None:
    """The project's settings; none where there is no project and none is needed."""
    if not needed and not (root / SETTINGS_FILE).exists():
        return None
    return load_settings(root / SETTINGS_FILE)


def _of_settings(settings: Settings | None, root: Path) -> spots.Spots:
    where = spots.of_settings(settings, root) if settings else spots.Spots()
    if not where:
        raise InputError(
            "there is no place to publish to",
            hint="name one with --registry or --to, or list them under registries: and publish: in the settings",
        )
    return where


def _layout(source: str, asked: Publication) -> Path:
    kind, _, folder = source.partition(":")
    if kind != "oci" or not folder:
        raise InputError(f"{source!r} is no layout", hint="write --from oci:FOLDER, as --to oci:FOLDER wrote it")
    if asked.alone:
        raise InputError("--from publishes all that the layout has", hint="leave out --arch and --flavour")
    if asked.folders:
        raise InputError("a folder and --from are two sources", hint="give one of them")
    return Path(folder)
