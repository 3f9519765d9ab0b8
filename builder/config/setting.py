"""`rosk config set`: edit a config file, and see that the values are what comes out of it."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from builder.config.ask import ConfigOptions, ask, console, find_file, shown
from builder.config.changes import Change, cause, differences, is_of_the_toolchain
from builder.config.model import Answer, Dropped, Facts, parse_value
from builder.errors import InputError
from builder.files import file_errors
from builder.inputs.store import write_atomically
from builder.project import Project
from builder.stages.configtext import assign
from builder.stages.dotconfig import config_values, is_kept
from builder.verify.model import count

_SHOWN = 40
_WORD = re.compile(r"(?:CONFIG_)?([A-Za-z0-9_]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One option that was set, and what came of it.

    Attributes:
        was, value, got: Its value before, the one it was set to, and the one that comes out.
        reason: Why these two differ.
        first: What to set first, as words for the command; may be empty.
        packages: Debian packages whose programs it needs in the toolchain.
    """

    name: str
    was: str
    value: str
    got: str
    reason: str = ""
    first: str = ""
    packages: tuple[str, ...] = ()

    @property
    def took(self) -> bool:
        return is_kept(self.value, self.got)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "old": self.was,
            "value": self.value,
            "new": self.got,
            "took": self.took,
            "reason": self.reason,
            "first": self.first.split(),
            "packages": list(self.packages),
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an edit of a file comes to.

    Attributes:
        file: Its name in the build context.
        before, after: Its texts.
        removed: Options that the kernel does not have, whose lines are gone.
        also: What changed beside what was set.
        broken: What other lines ask for and no longer get.
    """

    file: str
    before: str
    after: str
    removed: tuple[str, ...] = ()
    settings: tuple[Setting, ...]
    also: tuple[Change, ...]
    broken: tuple[Dropped, ...]

    @property
    def refused(self) -> list[str]:
        """Why this is not to be written, a line for each reason."""
        lost = [
            f"CONFIG_{each.name}={each.value} comes out as {each.got}" + (f": {each.reason}" if each.reason else "")
            for each in self.settings
            if not each.took
        ]
        return lost + [f"{each.describe()} ({each.where}:{each.line})" for each in self.broken if each.refused]


def parse_words(words: Sequence[str]) -> dict[str, str]:
    """Option to value, of words `NAME=VALUE`; `CONFIG_` may be before them.

    Raises:
        InputError: A word is none, or an option has two values.
    """
    found: dict[str, str] = {}
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            raise InputError(f"{word!r} sets nothing", hint="write NAME=VALUE, such as VXLAN=m or LOG_BUF_SHIFT=18")
        if found.get(match[1], match[2]) != match[2]:
            raise InputError(f"{match[1]} is set to two values", hint="give each option once")
        found[match[1]] = match[2]
    return found


def with_choices(text_values: Mapping[str, str], wanted: Mapping[str, str], facts: Facts) -> dict[str, str | None]:
    """What to write into a file: what is wanted, and the other members of its choices off that the file has on."""
    changes: dict[str, str | None] = {}
    for name, value in wanted.items():
        choice = facts.options[name].choice
        if value == "y" and choice:
            for other, held in text_values.items():
                option = facts.options.get(other)
                if other not in wanted and held == "y" and option is not None and option.choice == choice:
                    changes[other] = None
        changes[name] = value
    return changes


def outcome(
    wanted: Mapping[str, str],
    before: Answer,
    after: Answer,
    *,
    file: str,
    texts: tuple[str, str],
    project: Project,
    removed: Sequence[str] = (),
) -> Outcome:
    """What an edit comes to, of what the engine told before and after it."""
    dropped = {each.name: each for each in after.config.dropped}
    settings = tuple(
        _setting(name, value, before, after, dropped.get(name), file=file, project=project)
        for name, value in wanted.items()
    )
    changes = [each for each in differences(before.config.values, after.config.values) if each.name not in wanted]
    changed = [*wanted, *(each.name for each in changes)]
    also = tuple(
        Change(name=each.name, old=each.old, new=each.new, why=cause(each, after.facts, changed))
        for each in changes
        if not is_of_the_toolchain(each.name)
    )
    lost_before = {each.name for each in before.config.dropped}
    broken = tuple(
        replace(each, where=shown(project, each.where))
        for each in after.config.dropped
        if each.name not in wanted and each.name not in lost_before
    )
    return Outcome(
        file=file,
        before=texts[0],
        after=texts[1],
        removed=tuple(removed),
        settings=settings,
        also=also,
        broken=broken,
    )


def _setting(
    name: str, value: str, before: Answer, after: Answer, lost: Dropped | None, *, file: str, project: Project
) -> Setting:
    got, reason, first, packages = after.config.value(name), "", "", tuple[str, ...]()
    asked = after.config.asked.get(name)
    if is_kept(value, got):
        pass
    elif asked is not None and asked.where != file and not is_kept(value, asked.value):
        reason = f"{shown(project, asked.where)}:{asked.line} sets it to {asked.value}, and wins"
    elif lost is not None:
        reason, first, packages = lost.reason, lost.remedy(), lost.packages
    was = before.config.value(name)
    return Setting(name=name, was=was, value=value, got=got, reason=reason, first=first, packages=packages)


def run_set(
    words: Sequence[str],
    options: ConfigOptions,
    *,
    fragment: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Set options in a file of the project, once it is proven that they take.

    Args:
        words: `NAME=VALUE`.
        fragment: Edit this fragment of the settings, not kernel-config.
        force: Write also what does not take.
        dry_run: Write nothing.

    Raises:
        InputError: There is no such option, a value is not of its type, one does not take, or what another line asks
            for is lost; without `force` nothing is written then.
        RoskError: The engine or the source cannot be had.
    """
    given = parse_words(words)
    project = options.project()
    file = find_file(project, fragment, flavour=options.flavour)
    path = project.inputs[file]
    text = path.read_bytes().decode()  # with its own line ends
    before = ask(project, options.asking)
    removed = unknown_lines(given, before, text, file)
    wanted = {name: parse_value(before.facts, name, value) for name, value in given.items() if name not in removed}
    after_text, after = edited(project, options, before, file, text, wanted, removed)
    found = outcome(wanted, before, after, file=file, texts=(text, after_text), project=project, removed=removed)
    refused = found.refused
    write = not dry_run and (not refused or force) and after_text != text
    if write:
        write_text(project, file, after_text)
    if options.as_json:
        print(json.dumps(as_json(found, project, written=write), indent=1))
    elif write or dry_run or not refused:
        _print(found, project, written=write, dry_run=dry_run)
    if refused and not force:
        raise InputError(
            refused[0] if len(refused) == 1 else f"{refused[0]} (and {len(refused) - 1} more)",
            where=shown(project, file),
            hint=f"{_remedy(found, given, _where(options, fragment))}; nothing was written",
            details=refused if len(refused) > 1 else (),
        )
    return found


def _remedy(found: Outcome, given: Mapping[str, str], where: str) -> str:
    """What to do so that all takes.

    Args:
        where: The options of the command that name the same file.
    """
    if packages := sorted({package for each in found.settings for package in each.packages}):
        return f"have the toolchain bring it: `packages: [{', '.join(packages)}]` in the settings' section toolchain"
    if first := next((each.first for each in found.settings if each.first), ""):
        others = " ".join(f"{name}={value}" for name, value in given.items())
        return f"set first what it needs: `rosk config set{where} {first} {others}`"
    return "set what it needs first, or give --force to write it all the same"


def _where(options: ConfigOptions, fragment: str | None) -> str:
    """The options that name the same file once more."""
    given = {"--arch": options.arch, "--flavour": options.flavour, "--fragment": fragment}
    return "".join(f" {option} {shlex.quote(value)}" for option, value in given.items() if value is not None)


def unknown_lines(given: Mapping[str, str], before: Answer, text: str, file: str) -> list[str]:
    """The options whose lines a file loses: those that the kernel does not have, and that are to be off."""
    unknown = config_values(text, file).keys() - before.facts.options.keys()
    return [name for name, value in given.items() if value in ("n", "N") and name in unknown]


def edited(
    project: Project,
    options: ConfigOptions,
    before: Answer,
    file: str,
    text: str,
    wanted: Mapping[str, str],
    removed: Sequence[str] = (),
) -> tuple[str, Answer]:
    """The new text of a file with options set, and what it comes to; a whole .config is a whole one again."""
    order = list(before.facts.options)
    inside = {name: asked.value for name, asked in before.config.asked.items() if asked.where == file}
    new = assign(text, {**with_choices(inside, wanted, before.facts), **dict.fromkeys(removed)}, order)
    after = ask(project, options.asking, {file: new})
    if before.config.form == "minimal" or file != "config/kernel-config":
        return new, after
    follow = {
        each.name: (each.new if each.name in after.config.values else None)
        for each in differences(before.config.values, after.config.values)
        if each.name not in wanted
    }
    return assign(new, follow, order), after


def write_text(project: Project, file: str, text: str) -> None:
    """Replace a file of the project as a whole.

    Raises:
        InputError, NoSpaceError: It cannot be written.
    """
    path = project.inputs[file].resolve()
    errors = file_errors(
        path.parent, name="config", full="make room on its disk", refused="see that you may write to it"
    )
    with errors:
        write_atomically(path, text.encode())


def as_json(found: Outcome, project: Project, *, written: bool) -> dict[str, Any]:
    """What was done, for programs."""
    return {
        "file": shown(project, found.file),
        "set": [each.as_json() for each in found.settings],
        "removed": list(found.removed),
        "also": [each.as_json() for each in found.also],
        "broken": [
            {"name": each.name, "asked": each.asked, "new": each.got, "reason": each.reason, "where": each.where}
            for each in found.broken
        ],
        "written": written,
    }


def file_diff(before: str, after: str, name: str) -> Iterator[str]:
    """The unified diff of a file's two texts."""
    return difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, n=1, lineterm="")


def _print(found: Outcome, project: Project, *, written: bool, dry_run: bool) -> None:
    out = console()
    name = shown(project, found.file)
    for line in file_diff(found.before, found.after, name):
        out.print(line, markup=False)
    for each in found.settings:
        if each.took:
            out.print(f"CONFIG_{each.name}: {each.was} → {each.got}", markup=False)
    for option in found.removed:
        out.print(f"CONFIG_{option}: its line is out; this kernel has no such option", markup=False)
    if found.also:
        out.print(f"\n{count(len(found.also), 'option')} changed along with that:", markup=False)
    for change in found.also[:_SHOWN]:
        why = f" ({change.why})" if change.why else ""
        out.print(f"  CONFIG_{change.name}: {change.old} → {change.new}{why}", markup=False)
    if len(found.also) > _SHOWN:
        out.print(f"  and {len(found.also) - _SHOWN} more; --json has them all")
    if written:
        out.print(f"\n{name} is written", markup=False)
    elif found.before == found.after:
        out.print(f"{name} says so already", markup=False)
    elif dry_run:
        out.print("\nnothing is written (--dry-run)")
