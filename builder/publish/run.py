"""`rosk publish`, and `rosk build --push`: from what is asked for to the table of what is where."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from builder.errors import PublishError, RoskError
from builder.files import temporary_folder
from builder.inputs.fetch import Patience
from builder.publish import render, sources
from builder.publish.credentials import find_credentials
from builder.publish.gate import Terms
from builder.publish.http import PATIENCE, Http, Stopped
from builder.publish.layout import LayoutFolder
from builder.publish.plan import Plan
from builder.publish.registry import RegistryClient
from builder.publish.sources import Bundle, Engine, Release
from builder.publish.spots import Spots
from builder.publish.targets import FileTarget, folder_name, sums_of
from builder.publish.targets.folder import FolderTarget
from builder.publish.targets.github import GithubTarget
from builder.publish.targets.webdav import HttpTarget
from builder.publish.transfer import Destination, Outcome, State, Watch, transfer
from builder.releasefolder import ReleaseFolder
from builder.view import clean


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """How to publish.

    Attributes:
        moving: Tags that are to follow this release, at every registry and layout.
        overwrite: Tags and releases with other content are replaced.
        dry_run: Ask what is missing, and send nothing.
        terms: What a release has to pass.
        patience: How long to wait for a target, and how often to try.
    """

    moving: tuple[str, ...] = ()
    overwrite: bool = False
    dry_run: bool = False
    terms: Terms = field(default_factory=Terms)
    patience: Patience = PATIENCE


def publish_folders(
    folders: Sequence[ReleaseFolder],
    spots: Spots,
    options: PublishOptions,
    *,
    engine: Callable[[], Engine],
    org: str = "",
    watch: Watch,
    note: Callable[[str], None],
) -> list[Outcome]:
    """Publish releases that are in folders, their images from the engine.

    Args:
        spots: Where to.
        engine: Asked for only when images are wanted.
        org: Of a release that names no images.

    Returns:
        What is where, in the order of the places.

    Raises:
        VerifyError, InputError, EngineError: See `sources`. Nothing was sent.
        NoSpaceError: There is no room for what is published. Nothing was sent.
    """
    releases = [sources.checked(folder, note=note, terms=options.terms) for folder in folders]
    with temporary_folder("rosk-publish-") as work:
        images = engine() if spots.wants_images else None
        bundle = sources.from_dist(releases, images, work, org=org, note=note)
        return publish_bundle(bundle, spots, options, watch=watch)


def publish_layout(
    layout: Path, spots: Spots, options: PublishOptions, *, watch: Watch, note: Callable[[str], None]
) -> list[Outcome]:
    """Publish what is in an OCI layout; as `publish_folders`."""
    with temporary_folder("rosk-publish-") as work:
        bundle = sources.from_layout(layout, work, note=note, terms=options.terms)
        return publish_bundle(bundle, spots, options, watch=watch)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is done for one place.

    Attributes:
        run: Brings all there, and says what is where.
        left: What is to be said when that came to no end, and why.
    """

    run: Callable[[], list[Outcome]]
    left: Callable[[str], list[Outcome]]


def publish_bundle(bundle: Bundle, spots: Spots, options: PublishOptions, *, watch: Watch) -> list[Outcome]:
    """Bring content to all its places at once; one that fails does not stop the others.

    Raises:
        InputError: A place cannot be used as the settings have it.
    """
    stop = threading.Event()
    jobs = [
        *_registry_jobs(bundle, spots, options, watch, stop),
        *_file_jobs(bundle.releases, spots, options, watch, stop),
    ]
    results: list[list[Outcome]] = [[] for _ in jobs]
    broken: list[BaseException] = []

    def work(number: int, job: _Job) -> None:
        try:
            results[number] = job.run()
        except Stopped:
            pass
        except RoskError as error:  # credentials that cannot be had, for example
            results[number] = job.left(str(error))
        except Exception as error:  # an error in rosk, which only this place meets
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
            results[number] = job.left(clean(f"an error in rosk, please report it: {what}"))
        except BaseException as error:
            broken.append(error)
            stop.set()

    # Daemons: a place that says nothing must not keep a stopped program from ending.
    threads = [threading.Thread(target=work, args=(number, job), daemon=True) for number, job in enumerate(jobs)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        raise
    if broken:
        raise broken[0]
    return [outcome for outcomes in results for outcome in outcomes]


def _registry_jobs(
    bundle: Bundle, spots: Spots, options: PublishOptions, watch: Watch, stop: threading.Event
) -> list[_Job]:
    plans: list[tuple[Destination, Plan]] = []
    for registry in spots.registries:
        http = Http(ca=spots.ca(registry), patience=options.patience, stop=stop)
        client = RegistryClient(registry, http, credentials=partial(find_credentials, registry.host))
        plans.append((client, bundle.plan((*registry.moving_tags, *options.moving))))
    plans += [(LayoutFolder(folder), bundle.plan(options.moving)) for folder in spots.layouts]
    send = partial(transfer, store=bundle.store, overwrite=options.overwrite, dry_run=options.dry_run, watch=watch)
    return [_Job(run=partial(send, where, plan), left=partial(_tags_left, where, plan)) for where, plan in plans]


def _tags_left(destination: Destination, plan: Plan, why: str) -> list[Outcome]:
    return [
        Outcome(
            target=destination.name,
            reference=destination.reference(tag.repository, tag.tag),
            digest=tag.target.digest,
            state=State.FAILED,
            why=why,
        )
        for tag in plan.tags
    ]


def _file_jobs(
    releases: Sequence[Release], spots: Spots, options: PublishOptions, watch: Watch, stop: threading.Event
) -> list[_Job]:
    targets: list[FileTarget] = [FolderTarget(folder) for folder in spots.folders]
    for http in spots.http:
        connection = Http(ca=spots.file(http.ca), patience=options.patience, stop=stop)
        targets.append(HttpTarget(http.url, connection, authorization=spots.authorization(http)))
    for github in spots.github:
        connection = Http(ca=spots.file(github.ca), patience=options.patience, stop=stop)
        token = spots.variable(github.token_env)
        targets.append(
            GithubTarget(github.repository, connection, api=github.api, token=token, prerelease=github.prerelease)
        )

    def send(target: FileTarget) -> list[Outcome]:
        return target.publish(releases, overwrite=options.overwrite, dry_run=options.dry_run, watch=watch)

    return [_Job(run=partial(send, target), left=partial(_releases_left, target, releases)) for target in targets]


def _releases_left(target: FileTarget, releases: Sequence[Release], why: str) -> list[Outcome]:
    return [
        Outcome(
            target=target.name,
            reference=f"{target.name} {folder_name(release)}",
            digest=f"sha256:{sums_of(release.files).sha256}",
            state=State.FAILED,
            why=why,
        )
        for release in releases
    ]


def finish(
    outcomes: Sequence[Outcome], console: Console, *, as_json: bool, quiet: bool = False, dry_run: bool = False
) -> None:
    """Print what is where.

    Raises:
        PublishError: Not all is where it should be.
    """
    if as_json:
        print(json.dumps(render.as_json(outcomes, dry_run=dry_run), indent=1))
    elif not quiet:
        console.print()
        render.print_table(console, outcomes)
    check(outcomes)


def check(outcomes: Sequence[Outcome]) -> None:
    """See that all is where it should be.

    Raises:
        PublishError: It is not; the details have a line for each reference that is not there.
    """
    bad = [outcome for outcome in outcomes if not outcome.good]
    if bad:
        raise PublishError(
            f"{len(bad)} of {len(outcomes)} references are not where they should be",
            hint="run the same command again: it sends what is missing, and nothing twice",
            details=[f"not pushed: {outcome.reference}: {outcome.why}" for outcome in bad],
        )
