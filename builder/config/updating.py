"""`rosk config update`: what a project's config comes to on another kernel: what is new, gone, and set otherwise."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builder.config.ask import CONFIG, ConfigOptions, ask, console, shown
from builder.config.changes import cause, differences, is_of_the_toolchain
from builder.config.comparing import group_of
from builder.config.kernelkey import other_kernel, settings_with
from builder.config.model import OWN, Answer, Dropped
from builder.config.setting import write_text
from builder.errors import InputError
from builder.files import uninterrupted
from builder.inputs.store import write_atomically
from builder.project import SETTINGS_FILE, Project
from builder.stages.configtext import assign, rename
from builder.stages.dotconfig import value_of
from builder.verify.model import count

_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class NewOption:
    """An option that only the new kernel has and a config can set, with the value it got."""

    name: str
    value: str
    prompt: str
    help: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Gone:
    """An option that the new kernel has not.

    Attributes:
        value: What it was.
        where, line: The line that asks for it; empty and 0 where it only came along.
        renamed: Its probable new name; empty where none is known.
        sure: The new name has the very same prompt.
    """

    name: str
    value: str
    where: str = ""
    line: int = 0
    renamed: str = ""
    sure: bool = False


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An option of both kernels whose value is another one."""

    name: str
    old: str
    new: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Update:
    """What becomes of a config on another kernel.

    Attributes:
        old, new: The kernel versions.
        lost: What the files ask for and the new kernel does not give; options that are gone are not among them.
    """

    old: str
    new: str
    fresh: tuple[NewOption, ...]
    gone: tuple[Gone, ...]
    changed: tuple[Moved, ...]
    lost: tuple[Dropped, ...]


def compare(old: Answer, new: Answer) -> Update:
    """What becomes of a config from one kernel to another."""
    gone = tuple(
        _gone(name, old, new)
        for name, option in old.facts.options.items()
        if name not in new.facts.options
        and name not in OWN
        and (name in old.config.asked or (option.prompt and old.config.value(name) not in ("n", '""')))
    )
    never = [
        Gone(name=name, value=asked.value, where=asked.where, line=asked.line)
        for name, asked in old.config.asked.items()
        if name not in old.facts.options and name not in new.facts.options
    ]
    lost = {each.name: each for each in new.config.dropped if each.name in new.facts.options}
    changes = [
        each
        for each in differences(old.config.values, new.config.values)
        if each.name in old.facts.options and each.name in new.facts.options and new.facts.options[each.name].prompt
    ]
    changed = [each.name for each in changes]
    return Update(
        old=old.facts.version,
        new=new.facts.version,
        fresh=tuple(_fresh(old, new, {each.renamed for each in gone if each.sure})),
        gone=(*gone, *never),
        changed=tuple(
            Moved(
                name=each.name,
                old=each.old,
                new=each.new,
                why=lost[each.name].reason if each.name in lost else cause(each, new.facts, changed),
            )
            for each in changes
            if not is_of_the_toolchain(each.name)
        ),
        lost=tuple(lost.values()),
    )


def _fresh(old: Answer, new: Answer, renamed: set[str]) -> Sequence[NewOption]:
    """The options that are new, without those that only have a new name."""
    return [
        NewOption(
            name=name, value=new.config.value(name), prompt=option.prompt, help=option.help, group=group_of(option)
        )
        for name, option in new.facts.options.items()
        if name not in old.facts.options
        and name not in renamed
        and option.prompt
        and name in new.config.values
        and not is_of_the_toolchain(name)
    ]


def _gone(name: str, old: Answer, new: Answer) -> Gone:
    asked = old.config.asked.get(name)
    renamed, sure = find_rename(name, old, new)
    return Gone(
        name=name,
        value=asked.value if asked else old.config.value(name),
        where=asked.where if asked else "",
        line=asked.line if asked else 0,
        renamed=renamed,
        sure=sure,
    )


def find_rename(name: str, old: Answer, new: Answer) -> tuple[str, bool]:
    """What an option that is gone is probably called now, and whether its prompt is the very same."""
    was = old.facts.options[name]
    fresh = [other for other in new.facts.options if other not in old.facts.options]
    same = [
        other
        for other in fresh
        if " " in was.prompt
        and new.facts.options[other].prompt == was.prompt
        and new.facts.options[other].type == was.type
    ]
    if len(same) == 1:
        return same[0], True
    near = difflib.get_close_matches(name, same or fresh, n=1, cutoff=0.75)
    return (near[0], False) if near else ("", False)


def run_update(
    version: str | None,
    options: ConfigOptions,
    *,
    tarball: Path | None = None,
    tree: Path | None = None,
    write: bool = False,
    force: bool = False,
) -> Update:
    """Print what becomes of the project's config on another kernel.

    Args:
        version, tarball, tree: The kernel; see `builder.config.kernelkey.other_kernel`.
        write: Bring the config up to date and have the settings name that kernel.
        force: Write also when a build with that kernel would stop for the config.

    Raises:
        InputError: There is no such kernel; or, with `write`, the config is not one that a build takes then.
        RoskError: The engine or a source cannot be had.
    """
    project = options.project()
    other, keys = other_kernel(project, version, tarball=tarball, tree=tree)
    settings = settings_with(project.root, keys) if write else ""
    old, new = ask(project, options.asking), ask(other, options.asking)
    update = compare(old, new)

    def alone(text: str) -> Answer:
        return ask(_alone(other), options.asking, {CONFIG: text})

    texts = new_texts(project, update, alone if new.config.form == "full" else None)
    after = ask(other, options.asking, texts) if texts else new
    refused = [each for each in after.config.dropped if each.refused or project.config_strict]
    written = write and (not refused or force)
    if written:
        with uninterrupted():
            for file, text in texts.items():
                write_text(project, file, text)
            write_atomically((project.root / SETTINGS_FILE).resolve(), settings.encode())
    if options.as_json:
        print(json.dumps(as_json(update, project, texts, refused, written=written), indent=1))
    else:
        _print(update, project, texts, written=written)
    if write and refused and not force:
        raise InputError(
            f"a build of Linux {update.new} would stop for {count(len(refused), 'option')}; nothing was written",
            hint="take these lines out, or give each what it needs; --force writes all the same",
            details=[f"{shown(project, each.where)}:{each.line}: {each.describe()}" for each in refused],
        )
    return update


def new_texts(project: Project, update: Update, alone: Callable[[str], Answer] | None) -> dict[str, str]:
    """The files that change for another kernel, by their names in the build context, with their new texts.

    Lines of options that are gone go; what is called otherwise now is set under its new name, where that is sure. A
    whole .config is the whole one of the new kernel.

    Args:
        alone: Asks what a whole .config comes to on the new kernel by itself, for fragments may be one flavour's; None
            where kernel-config is none.
    """
    texts = {}
    for file in [CONFIG, *(name for name in project.inputs if name.startswith("config/fragments/"))]:
        text = project.inputs[file].read_text()
        own = {gone.name: gone for gone in update.gone if gone.where == file}
        renamed = {name: gone.renamed for name, gone in own.items() if gone.sure}
        changed = rename(text, renamed)
        if file == CONFIG and alone:
            changed = whole(text, alone(changed))
        else:
            changed = assign(changed, dict.fromkeys(own.keys() - renamed.keys()))
        if changed != text:
            texts[file] = changed
    return texts


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


def as_json(
    update: Update, project: Project, texts: Mapping[str, str], refused: Sequence[Dropped], *, written: bool
) -> dict[str, Any]:
    """What becomes of the config, for programs."""
    return {
        "old": update.old,
        "new": update.new,
        "added": [
            {"name": each.name, "value": each.value, "prompt": each.prompt, "help": each.help, "group": each.group}
            for each in update.fresh
        ],
        "gone": [
            {
                "name": each.name,
                "value": each.value,
                "where": shown(project, each.where) if each.where else None,
                "line": each.line or None,
                "renamed": each.renamed or None,
                "sure": each.sure,
            }
            for each in update.gone
        ],
        "changed": [{"name": each.name, "old": each.old, "new": each.new, "why": each.why} for each in update.changed],
        "lost": [
            {"name": each.name, "asked": each.asked, "got": each.got, "reason": each.reason} for each in update.lost
        ],
        "files": [shown(project, file) for file in texts],
        "refused": [each.name for each in refused],
        "written": written,
    }


def _print(update: Update, project: Project, texts: Mapping[str, str], *, written: bool) -> None:
    out = console()
    out.print(f"Linux {update.old} → {update.new}", markup=False, style="bold")
    _section(f"{count(len(update.fresh), 'new option')}", [_new_line(each) for each in update.fresh])
    _section(f"{count(len(update.gone), 'option')} gone", [_gone_line(each, project) for each in update.gone])
    moved = update.changed
    _section(
        f"{count(len(moved), 'value')} changed",
        [
            f"CONFIG_{each.name}: {each.old} → {each.new}{f' ({each.why})' if each.why else ''}"
            for each in update.changed
        ],
    )
    _section(
        f"{count(len(update.lost), 'option')} asked for and not had",
        [f"{shown(project, each.where)}:{each.line}: {each.describe()}" for each in update.lost],
    )
    if not (update.fresh or update.gone or moved or update.lost):
        out.print("the config is the same there")
    out.print()
    names = ", ".join(shown(project, file) for file in texts)
    if written:
        out.print(
            f"{', '.join(filter(None, [names, str(SETTINGS_FILE)]))} written: the project builds Linux {update.new}"
        )
    else:
        out.print(f"--write changes {', '.join(filter(None, [names, str(SETTINGS_FILE)]))}", markup=False)


def _section(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    out = console()
    out.print(f"\n{title}", markup=False, style="bold")
    for line in lines[:_SHOWN]:
        out.print(f"  {line}", markup=False)
    if len(lines) > _SHOWN:
        out.print(f"  and {len(lines) - _SHOWN} more; --json has them all")


def _new_line(each: NewOption) -> str:
    about = f"{each.prompt}. {each.help}" if each.help else each.prompt
    return f"CONFIG_{each.name}={value_of({each.name: each.value}, each.name)}  [{each.group}] {about}"


def _gone_line(each: Gone, project: Project) -> str:
    place = f" ({shown(project, each.where)}:{each.line})" if each.where else ""
    now = f", now CONFIG_{each.renamed}" if each.sure else f", perhaps CONFIG_{each.renamed}" if each.renamed else ""
    return f"CONFIG_{each.name}={each.value}{place}{now}"
