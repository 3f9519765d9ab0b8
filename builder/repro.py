"""`rosk repro`: proves that the release in `dist` is reproducible, by building it again from nothing and comparing.

The second build starts from the same inputs (toolchain, source and all that is the project's) and finds nothing else in
a cache. It leaves no trace in `dist`, among the engine's images and in the cache mounts of other builds.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from builder import release
from builder.build import build
from builder.differ import Differ, Difference, diff_lines, differ, short, unequal
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.errors import EngineError, InputError, InterruptedBuild, ReproError, RoskError, VerifyError
from builder.external.sources import module_sources
from builder.inputs.fetch import default_cache
from builder.process import run
from builder.project import Project
from builder.release import describe, shown_path
from builder.run import prepare_for
from builder.settings import Cache
from builder.signing.key import read_key
from builder.stagenames import STAGES, shown_stage
from builder.stages.dotconfig import config_values
from builder.stages.reproducible import findings, kernel_of
from builder.view import View, make_view

REPORT = "repro.log"
"""The file of `dist` with all that the last `rosk repro` found, when that was something."""

LOOKED_INTO = 3
"""So many differences are shown with what `diffoscope` says of them."""

_SHOWN_DIFFERENCES = 25
_SHOWN_LINES = 15
_DIFFOSCOPE_SECONDS = 180.0
_DIFFOSCOPE_BYTES = 1 << 20
_NO_MATTER = ("registries", "publish", "cache")
"""Settings that nothing in the release follows from."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ReproOptions:
    """How to prove.

    Attributes:
        toolchain: Take the toolchain's packages and the source anew too.
        keep: A folder that receives the second build's files; None: they are not kept.
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with; the engine's own when None.
        as_json: Print the result as one JSON object, and nothing else on standard output.
    """

    toolchain: bool = False
    keep: Path | None = None
    allow_install: bool = True
    builder: str | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One thing that both builds made: a file of `dist`, or an image; a digest is empty where there is none."""

    name: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        return self.first == self.second


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What came of it.

    Attributes:
        compared: Every file and image.
        inputs: What the two builds did not have in common from their start, a line each (packages of the toolchain).
        differences: What differs, where something does.
        notices: What of the config is known to make builds differ.
    """

    compared: tuple[Compared, ...]
    inputs: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def reproducible(self) -> bool:
        return all(each.same for each in self.compared)


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
    told = Console(stderr=True, highlight=False, emoji=False)
    note = partial(told.print, markup=False) if options.quiet else view.note
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
        _print_proof(console, manifest, proof)
    if not proof.reproducible:
        raise _error(project, proof)
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
        _link_all(first, again.dist / "kernel")
        second = _build_again(again, engine, base, scope, view, report=report)
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


def _build_again(
    project: Project, engine: Docker, base: BaseImage, scope: str, view: View, *, report: Path
) -> Mapping[str, Any]:
    """The manifest of the second build."""
    try:
        with view:
            return build(project, engine, base, view=view, command=("rosk", "repro"), scope=scope, fresh=True).manifest
    except InterruptedBuild as error:
        error.hint = "nothing was changed; the proof starts from nothing when it is run again"
        raise
    except RoskError as error:
        with suppress(OSError):
            shutil.copyfile(project.dist / "build.log", report)
        error.hint = error.hint.replace("dist/build.log", f"dist/{REPORT}")
        if isinstance(error, VerifyError):  # what it names is gone with the rest of the second build
            error.hint = f"this is of the second build: its log is in dist/{REPORT}; `rosk verify` looks at the first"
        raise


def read_manifest(project: Project) -> dict[str, Any]:
    """The manifest of the release in `dist`.

    Raises:
        InputError: There is none.
    """
    path = project.dist / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS:
            raise ValueError
    except FileNotFoundError:
        raise InputError("there is no release to compare with", where=project.dist, hint=_BUILD_FIRST) from None
    except ValueError:
        raise InputError("this is no manifest of a release", where=path, hint=_BUILD_FIRST) from None
    return manifest


_BUILD_FIRST = "run `rosk build` first"
_KEYS = {"release", "arch", "reproduce", "inputs", "settings", "source", "toolchain", "outputs", "images"}


def check_unchanged(project: Project, manifest: Mapping[str, Any]) -> None:
    """See that the release in `dist` is of this project as it is now.

    Raises:
        InputError: Its inputs were others; the details name them.
    """
    changes = list(_changes(project, manifest))
    if not changes:
        return
    words = [*manifest["reproduce"]]
    words[1:2] = ["repro"]
    raise InputError(
        "the project is not what the release in dist was built from",
        where=project.dist,
        hint=f"{_BUILD_FIRST}; if only options of the command line differ, run `{shlex.join(words)}`",
        details=changes,
    )


def _changes(project: Project, manifest: Mapping[str, Any]) -> Iterator[str]:
    if manifest["arch"] != project.arch.name:
        yield f"the architecture was {manifest['arch']} and is {project.arch.name}"
    source = manifest["source"]
    if source["from"] != str(project.source) or project.source.sha256 not in (None, source["sha256"]):
        yield f"the source was {source['from']} and is {project.source}"
    then, now = manifest["inputs"], {name: describe(path) for name, path in project.inputs.items()}
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            change = "is new" if name not in then else "is gone" if name not in now else "has changed"
            yield f"{project.origin(name) or name} {change}"
    for key, value, other in unequal(manifest["settings"], project.settings.model_dump(mode="json")):
        if key.split(".")[0] not in _NO_MATTER:
            yield f"the setting {key} was {short(value)} and is {short(other)}"
    signing = read_key(project, warn=lambda _line: None)
    if manifest.get("signing") != (signing.as_json() if signing else None):
        yield "the key that signs the modules is another"
    modules = [source.as_json() for source in module_sources(project, lambda _line: None)]
    for was in manifest.get("modules", ()):
        if was not in modules:
            yield f"the source of the module {was['name']} has changed"


def check_base(base: BaseImage, manifest: Mapping[str, Any]) -> None:
    """See that the base image is the one that the release was built with.

    Raises:
        InputError: It is another.
    """
    if base.id != manifest["toolchain"]["base_digest"]:
        raise InputError(
            f"the base image {base.ref} is not the one that the release in dist was built with",
            hint=f"{_BUILD_FIRST}, or compare across toolchains with `rosk repro --toolchain`",
        )


def check_keep(folder: Path | None) -> None:
    """See that a folder can receive the second build's files.

    Raises:
        InputError: There is something in it.
    """
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("this is no empty folder", where=folder, hint="give --keep a folder that is new or empty")


def known_causes(project: Project, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What of the release's config is known to make builds differ."""
    config = project.dist / "kernel" / "config"
    if not config.is_file():
        return ()
    values = config_values(config.read_bytes(), "config")
    return tuple(finding.what for finding in findings(values, kernel_of(manifest["release"])))


def second_project(project: Project, dist: Path, scope: str, *, toolchain: bool) -> Project:
    """The project with a release folder, image names and caches of its own; none of that goes into the release."""
    settings = project.settings
    suffix = project.localversion.removeprefix("-")
    own: dict[str, Any] = {"org": scope, "suffix": suffix, "flavours": {}, "cache": Cache()}
    if toolchain:
        # Debian's packages are taken anew when this word is a new one.
        word = f"{settings.toolchain.as_of} {scope}".strip()
        own["toolchain"] = settings.toolchain.model_copy(update={"as_of": word})
    return replace(project, dist=dist, flavour=None, settings=settings.model_copy(update=own))


def snapshot(dist: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Hold on to the files of a release, which another build may replace meanwhile.

    Raises:
        InputError: A file is not the one that the manifest tells of.
    """
    folder.mkdir()
    for name, wanted in manifest["outputs"].items():
        path = dist / name
        if not path.is_file() or describe(path) != wanted:
            raise InputError("this is not the file that was built", where=path, hint=_BUILD_FIRST)
        release.take_over(path, folder / path.name)


def _link_all(folder: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in folder.iterdir():
        release.take_over(path, target / path.name)


@contextmanager
def own_scope(engine: Docker, note: Say) -> Iterator[str]:
    """A word that names this run's images and cache mounts; they are gone when the block ends.

    What a killed run left behind is cleared first: each run has a file of its name, and holds a lock on it.
    """
    folder = default_cache() / "repro"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        with _locked(left) as got:
            if got:
                _clear(engine, left, note)
    file = folder / f"repro-{secrets.token_hex(4)}"
    with _locked(file):
        try:
            yield file.name
        finally:
            _clear(engine, file, note)


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold a lock on a file, made if it is missing, unless another process holds it; says whether it is held."""
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _clear(engine: Docker, file: Path, note: Say) -> None:
    """Remove a run's images and cache mounts; what cannot be removed now is left to the next run."""
    try:
        for tag in engine.tags(file.name):
            engine.untag(tag)
        engine.drop_cache_mounts(file.name)
    except EngineError as error:
        note(f"left behind until the next `rosk repro`: images and caches of {file.name} ({error.what})")
    else:
        file.unlink(missing_ok=True)


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Proof:
    """Compare two releases by their manifests."""
    outputs, others = first["outputs"], second["outputs"]
    names = sorted({*outputs, *others})
    files = [Compared(name=name, first=_sum(outputs.get(name)), second=_sum(others.get(name))) for name in names]
    built = dict(zip(first["images"], second["images"].values(), strict=True))
    images = [Compared(name=tag, first=digest, second=built[tag]) for tag, digest in first["images"].items()]
    return Proof(compared=(*files, *images), inputs=tuple(_other_inputs(first, second)))


def _sum(entry: Mapping[str, Any] | None) -> str:
    return f"sha256:{entry['sha256']}" if entry else ""


def _other_inputs(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """What two builds of one project did not have in common from their start."""
    for key, value, other in unequal(first["toolchain"]["packages"], second["toolchain"]["packages"]):
        yield f"the toolchain's package {key} was {value or 'absent'} and is {other or 'absent'} now"
    for name, key in (("toolchain", "base_digest"), ("source", "kernel_version"), ("source", "package_version")):
        if (value := first[name][key]) != (other := second[name][key]):
            yield f"the {name}'s {key.replace('_', ' ')} was {value} and is {other} now"
    for key in ("source_date_epoch", "firmware"):
        if first[key] != second[key]:
            yield f"the {key.replace('_', ' ')} was {short(first[key])} and is {short(second[key])} now"
    if first["source"]["kind"] == "tree":  # which no checksum in the manifest stands for
        for name in first["outputs"]:
            if "-src." in name and _sum(first["outputs"][name]) != _sum(second["outputs"].get(name)):
                yield "the source tree is not as it was, going by its package: build first"


@dataclass(frozen=True, kw_only=True)
class Look:
    """Looks into what differs.

    Attributes:
        archives: The folder that receives the images that differ, as archives.
    """

    differ: Differ
    engine: Docker
    archives: Path

    def all(
        self, first: Path, second: Path, manifest: Mapping[str, Any], again: Mapping[str, Any]
    ) -> Iterator[Difference]:
        """The differences of two releases, whose files are in two folders."""
        for each in compare(manifest, again).compared:
            if each.same or each.name in manifest["images"]:
                continue
            name = Path(each.name).name
            if not (each.first and each.second):
                yield Difference(where=(name,), what="only one of the builds has it")
            else:
                yield from self.differ.files(first / name, second / name, name)
        for (tag, digest), (other, made) in zip(manifest["images"].items(), again["images"].items(), strict=True):
            if digest != made:
                yield from self.images(tag, digest, other)

    def images(self, tag: str, digest: str, other: str) -> Iterator[Difference]:
        """The differences of two images in the engine."""
        name = tag.rpartition("/")[2].partition(":")[0]
        where = f"image {name}"
        if self.engine.image_id(tag) != digest:
            yield Difference(where=(where,), what="differs; the first one is not in the engine any more")
            return
        self.archives.mkdir(exist_ok=True)
        first, second = self.archives / f"{name}.first.tar", self.archives / f"{name}.tar"
        try:
            self.engine.save(tag, first)
            self.engine.save(other, second)
            yield from self.differ.images(first, second, where)
        except EngineError as error:
            yield Difference(where=(where,), what=f"differs; the engine cannot save it ({error.what})")
        finally:
            first.unlink(missing_ok=True)


def look_into(difference: Difference) -> list[str]:
    """What `diffoscope` says, where it is installed; else the changed lines of a text."""
    if difference.first is None or difference.second is None:
        return []
    if shutil.which("diffoscope") is None:
        return diff_lines(difference.first, difference.second)
    argv = ["diffoscope", "--no-progress", f"--max-text-report-size={_DIFFOSCOPE_BYTES}", "--text", "-"]
    try:
        done = run([*argv, difference.first, difference.second], check=False, timeout=_DIFFOSCOPE_SECONDS)
    except RoskError as error:
        return [error.what]
    return (done.stdout or done.stderr).splitlines()


def report_lines(proof: Proof) -> list[str]:
    """All that was found, for the report: each difference, the first few with their contents' differences."""
    lines = [f"input: {line}" for line in proof.inputs]
    looked = 0
    for difference in proof.differences:
        lines.append(str(difference))
        if difference.first is not None and looked < LOOKED_INTO:
            looked += 1
            lines += [f"    {line}" for line in look_into(difference)]
    return lines


def keep(
    folder: Path,
    project: Project,
    second: Path,
    archives: Path,
    manifest: Mapping[str, Any],
    again: Mapping[str, Any],
) -> None:
    """Copy what the second build made to `folder`, under the names that the project gives it."""
    with release.output_errors(folder):
        shutil.copytree(second / "kernel", folder / "kernel")
        shutil.copyfile(second / "build.log", folder / "build.log")
        images = dict(zip(manifest["images"], again["images"].values(), strict=True))
        named = {**again, "images": images, "settings": manifest["settings"]}
        (folder / "manifest.json").write_text(json.dumps(named, indent=1) + "\n")
        if archives.exists():
            shutil.copytree(archives, folder / "images")


def as_json(project: Project, manifest: Mapping[str, Any], proof: Proof) -> dict[str, Any]:
    """The result, for programs."""
    return {
        "reproducible": proof.reproducible,
        "release": manifest["release"],
        "arch": manifest["arch"],
        "compared": {each.name: {"first": each.first, "second": each.second} for each in proof.compared},
        "inputs": list(proof.inputs),
        "notices": list(proof.notices),
        "differences": [{"where": list(each.where), "what": each.what} for each in proof.differences],
        "report": None if proof.reproducible else str(project.dist / REPORT),
    }


def _print_proof(console: Console, manifest: Mapping[str, Any], proof: Proof) -> None:
    console.print(f"\n[bold]Kernel {escape(manifest['release'])} for {manifest['arch']}, built twice[/]")
    for each in proof.compared:
        state = "[green]same   [/]" if each.same else "[red]differs[/]"
        console.print(f"  {state}  {each.first or 'absent':<71}  {escape(each.name)}", soft_wrap=True)
        if not each.same:
            console.print(f"           {each.second or 'absent'}", soft_wrap=True)
    if proof.reproducible:
        console.print("\n[bold green]The release is reproducible[/]: a second build from nothing gave the same bytes")


def _error(project: Project, proof: Proof) -> ReproError:
    """The error for a release that is not reproducible."""
    wrong = sum(not each.same for each in proof.compared)
    report = project.dist / REPORT
    details = _excerpt(report.read_text(errors="replace").splitlines())
    causes = [f"known cause: {notice}" for notice in proof.notices]
    hint = f"the whole comparison is in {shown_path(report)}"
    if shutil.which("diffoscope") is None:
        hint += "; with diffoscope installed it says more"
    return ReproError(
        f"{wrong} of {len(proof.compared)} files and images came out otherwise in a second build",
        hint=hint,
        details=[*causes, *details],
    )


def _excerpt(lines: Sequence[str]) -> list[str]:
    """The lines of a report that fit a screen: a few of each look into a file, and the first differences."""
    shown: list[str] = []
    differences = inside = 0
    for line in lines:
        if line.startswith("    "):
            inside += 1
            if inside <= _SHOWN_LINES and differences <= _SHOWN_DIFFERENCES:
                shown.append(line)
        else:
            inside = 0
            differences += 1
            if differences <= _SHOWN_DIFFERENCES:
                shown.append(line)
    if differences > _SHOWN_DIFFERENCES:
        shown.append(f"and {differences - _SHOWN_DIFFERENCES} more")
    return shown
