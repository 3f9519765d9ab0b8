"""`rosk config update`: bring the config of all of a project's kernels to another kernel version, or only say how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from builder.arch import ARCHES
from builder.config.ask import CONFIG, ConfigOptions, ask
from builder.config.checking import checked
from builder.config.kernelkey import other_kernel, settings_with
from builder.config.model import OWN, Answer
from builder.config.update import Update, compare
from builder.config.updateshown import Told, print_json, print_text
from builder.errors import InputError
from builder.files import file_errors, replace_files, uninterrupted
from builder.project import SETTINGS_FILE, Project, load_all
from builder.stages.configtext import assign, rename
from builder.verify.model import count


@dataclass(frozen=True, kw_only=True)
class Step:
    """One kernel of a project, before and after.

    Attributes:
        project, other: The project as it is, and with the other kernel.
        new: What the config comes to there, as its files are.
        update: How that differs.
    """

    project: Project
    other: Project
    new: Answer
    update: Update

    @property
    def files(self) -> dict[Path, str]:
        """The files of its config to their names in the build context."""
        names = [CONFIG, *(name for name in self.project.inputs if name.startswith("config/fragments/"))]
        return {self.project.inputs[name].resolve(): name for name in names}


def run_update(
    version: str | None,
    options: ConfigOptions,
    *,
    tarball: Path | None = None,
    tree: Path | None = None,
    write: bool = False,
    force: bool = False,
) -> tuple[Update, ...]:
    """Print what becomes of the config of each kernel of a project on another kernel version.

    Args:
        version, tarball, tree: The kernel; see `builder.config.kernelkey.other_kernel`.
        options: With an architecture or a flavour only the kernels of that.
        write: Bring the files of these up to date and have the settings name that kernel: all of it, or nothing.
        force: Write also when a build with that kernel would stop for the config.

    Raises:
        InputError: There is no such kernel; or, with `write`, a config is not one that a build takes then.
        RoskError: The engine or a source cannot be had.
    """
    projects = load_all(options.root, arch=options.arch, flavour=options.flavour)
    others = [other_kernel(project, version, tarball=tarball, tree=tree) for project in projects]
    root, keys = projects[0].root, others[0][1]
    settings = settings_with(root, keys) if write else ""
    steps = [_step(project, other, options) for project, (other, _) in zip(projects, others, strict=True)]

    def alone(step: Step, text: str) -> Answer:
        project = _alone(step.other)
        if project == step.other and text.encode() == project.inputs[CONFIG].read_bytes():
            return step.new
        return ask(project, options.asking, {CONFIG: text})

    texts = new_texts(steps, alone)
    told = [_told(step, texts, options) for step in steps]
    refused = [each for each in told if each.errors]
    written = write and (not refused or force)
    if written:
        errors = file_errors(root, name="project", full="make room there", refused="see that you may write to it")
        with uninterrupted(), errors:
            files = {path: text.encode() for path, text in texts.items()}
            replace_files({**files, (root / SETTINGS_FILE).resolve(): settings.encode()})
    left = _left(root, options, projects)
    (print_json if options.as_json else print_text)(told, left, written=written)
    if write and refused and not force:
        raise _error(refused, several=len(told) > 1)
    return tuple(step.update for step in steps)


def _step(project: Project, other: Project, options: ConfigOptions) -> Step:
    old, new = ask(project, options.asking), ask(other, options.asking)
    return Step(project=project, other=other, new=new, update=compare(old, new))


def _told(step: Step, texts: Mapping[Path, str], options: ConfigOptions) -> Told:
    """What there is to say of a kernel, with what a build of it would stop for once its files are these."""
    changed = {name: texts[path] for path, name in step.files.items() if path in texts}
    after = ask(step.other, options.asking, changed) if changed else step.new
    return Told(project=step.project, update=step.update, files=tuple(changed), checked=checked(step.other, after))


def _left(root: Path, options: ConfigOptions, projects: Sequence[Project]) -> list[str]:
    """The architectures that have a config and are not among those of the project: the new kernel is theirs as well."""
    there = {path.parent.name for path in root.glob("config/*/kernel-config")} & ARCHES.keys()
    return [] if options.arch else sorted(there - {project.arch.name for project in projects})


def _error(refused: Sequence[Told], *, several: bool) -> InputError:
    def line(told: Told, error: str) -> str:
        return f"{told.project.name}: {error}" if several else error

    names = f" ({', '.join(told.project.name for told in refused)})" if several else ""
    details = [line(told, each) for told in refused for each in told.errors]
    errors = count(len(details), "error")
    return InputError(
        f"a build of Linux {refused[0].update.new}{names} would stop for {errors} in the config; nothing was written",
        hint="take these lines out, or give each what it needs; --force writes all the same",
        details=details,
    )


def new_texts(steps: Sequence[Step], alone: Callable[[Step, str], Answer]) -> dict[Path, str]:
    """The files that change for another kernel, with their new texts.

    The lines of an option go that none of the kernels has which a file is for; what is called otherwise now is set
    under its new name, where that is sure. A whole .config is the whole one of the new kernel.

    Args:
        alone: Asks what a whole .config comes to on the new kernel by itself, for fragments may be one flavour's.
    """
    texts = {}
    for path in dict.fromkeys(path for step in steps for path in step.files):
        users = [step for step in steps if path in step.files]
        text = path.read_bytes().decode()
        gone, renamed = _gone_in_all(users)
        changed = rename(text, renamed)
        first = users[0]
        if first.files[path] == CONFIG and first.new.config.form == "full":
            changed = whole(text, alone(first, changed))
        else:
            changed = assign(changed, dict.fromkeys(gone - renamed.keys()))
        if changed != text:
            texts[path] = changed
    return texts


def _gone_in_all(steps: Sequence[Step]) -> tuple[set[str], dict[str, str]]:
    """The options that are gone in each of some kernels, and the one sure new name of each that has one.

    An option with two sure new names is none of them: which is meant, only its owner knows.
    """
    gone = set.intersection(*({each.name for each in step.update.gone} for step in steps))
    names: dict[str, set[str]] = {}
    for step in steps:
        for each in step.update.gone:
            if each.sure and each.name in gone:
                names.setdefault(each.name, set()).add(each.renamed)
    unclear = {name for name, found in names.items() if len(found) > 1}
    return gone - unclear, {name: found.pop() for name, found in names.items() if name not in unclear}


def _alone(project: Project) -> Project:
    """A project with its kernel-config for all of its config: no fragments, and no key of its own for the modules."""
    inputs = {name: path for name, path in project.inputs.items() if not name.startswith("config/fragments/")}
    return replace(project, inputs=inputs, signing=None)


def whole(text: str, new: Answer) -> str:
    """The whole .config of a kernel, with the suffix of the kernel release that the file before had."""
    asked = new.config.asked
    own = {name: asked[name].value if name in asked else None for name in sorted(OWN)}
    changed = assign(new.config.text, own)
    return changed.replace("\n", "\r\n") if "\r\n" in text else changed
