"""An object tree that is kept between builds, and what keeps it as good as a new one.

kbuild builds on an earlier object tree when times allow it. A developer's tree is right because its owner knows when
to clean it; here the rules are written down. Before make runs:

- The sources' times are made to follow their content, which `builder.stages.journal` tells.
- The tree is thrown away when something differs that kbuild does not look at, or that leaves something behind: the
  toolchain, the date, files that no target names as what it is made from, options that decide which tools there are
  (all of these are the tree's recipe), and new files that would now be included in another's place.
- The tree is thrown away, or set back, when it is not what the last build left: a seal over the state of every file
  tells what a killed build or anybody else has touched.

A tree that is thrown away costs time, and most of it is given back by the compiler cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from builder.stages import asmversions, initramfs
from builder.stages import journal as sources
from builder.stages.affected import COMPILED, SOURCES, Change, made_of, part_of
from builder.stages.books import load_book, store_book
from builder.stages.common import TICK_SECONDS
from builder.stages.journal import Changes, Entry, Journal
from builder.stages.narrow import Part
from builder.stages.optionfolders import Makefiles
from builder.stages.shadowing import HEADERS, PROGRAMS, TOOLS, named_headers

KEEP = ".rosk-kept"
"""The folder of the object tree for what is no part of it: how it was left, and what is made from it."""
_UNFINISHED = "unfinished"
_COMPLETE = "complete"
"""There when make has made all that it was asked for."""
_LOCK = "buildah-cache-lockfile"
"""buildah's own, at the top of each cache mount that it locks."""
_CONFIG = ".config"
_SYNCED = "include/config/auto.conf"
_PROGRAMS = (".sh", ".pl", ".py", ".awk", ".sed")
_INSTALLING = "scripts/Makefile.modinst"
"""Read when all is made, and makes nothing of the object tree: its options leave nothing behind there."""
_NO_INPUT = ("Documentation/", "samples/", "tools/testing/", "tools/perf/", "LICENSES/")
_TEXTS = re.compile(r"(?:Documentation|LICENSES)/.*\.(?:rst|txt)")
_NOT_INCLUDED = frozenset(("Makefile", "Kbuild", "Kconfig"))
_TOLD = tuple(f"/{name}" for name in sorted(_NOT_INCLUDED))
_COMMENT = re.compile(r"\s*#")
_NO_RULE = re.compile(_COMMENT.pattern + r"|\s*[\w./-]+-(?:y|m|n|objs|\$\([^)]*\))\s*[:+?]?=")
"""A comment, or a list such as `obj-$(CONFIG_NET) += core.o`; kbuild notices what differs in these."""
_KBUILD = "scripts/Kbuild.include"
_UNORDERED = "$(filter-out $(cmd_$(1))"
"""Of a kbuild that takes two commands with the same words for one (arg-check before Linux 4.7): a list is a rule."""
_TIDY = ".DELETE_ON_ERROR:"
"""Of a kbuild that has make remove what a command that failed has half made (since Linux 4.20, and in stable ones)."""
_UNNOTED_HEADER = "include/linux/kconfig.h"
"""fixdep has left it out of all notes before Linux 4.16; every object has read it."""
_OPTION = re.compile(r"CONFIG_(\w+)")
_NEED_ALL = ("TRIM_UNUSED_KSYMS", "RUST")
"""With them kbuild makes objects again for what others use of them, or for any other config."""
_LEFT_IN_FOLDERS = ("/built-in.a", "/modules.order")
"""kbuild leaves one of them, or both, in each folder that it has looked into."""
_SETTING = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE)

Seal = dict[str, list[int]]
"""Path under the object tree to size, mtime and ctime (nanoseconds)."""


@dataclass(kw_only=True)
class ObjectTree:
    """A kept object tree.

    Attributes:
        folder: The object tree.
        tree: The source tree; the times of its files are set.
        srcarch: The architecture's folder: x86, arm64.
        recipe: What the tree is made with beside source and config: any difference makes it a new one.
        noted: What the assembler reads (`.incbin`) is in kbuild's notes (`builder.stages.compilercache`).
        said: What became of the tree and why, for the log.
        rules: A checksum over what kbuild's commands follow from; known once the tree is open.
        named: The names of headers that Makefiles speak of; known once the tree is open.
        config: The text of the .config that is built; known once the tree is open.
        part: What make has to look into, once the tree is open; None for all of it.
    """

    folder: Path
    tree: Path
    srcarch: str
    recipe: Mapping[str, Any]
    noted: bool = True
    said: list[str] = field(default_factory=list)
    rules: str = ""
    named: Sequence[str] = ()
    config: str = ""
    part: Part | None = None

    @property
    def keep(self) -> Path:
        return self.folder / KEEP

    def open(self, config: str, journal: str) -> dict[str, Entry]:
        """Bring the tree into a state that make can build on; until `close`, a killed build is one that touched it.

        Args:
            config: The text of the .config that is going to be built.
            journal: The text of the journal of the source tree.

        Returns:
            The journal of the sources.

        Raises:
            OSError: The disk is full, or a file cannot be read or written.
        """
        self.keep.mkdir(parents=True, exist_ok=True)
        state = load_book(self.keep / "state") or {}
        now = sources.parse(journal)
        same_rosk = state.get("recipe", {}).get("rosk itself") == self.recipe.get("rosk itself")
        changes = sources.compare(state["journal"] if state and same_rosk else "", journal)
        makefiles = self._makefiles(now)
        rules = self._rules(now, makefiles, state.get("rules") if same_rosk else None)
        recipe = {**self.recipe, **self._hidden(now, config), "a rule of a Makefile": rules[1]}
        states = self._states()
        reason = self._unsound(state, recipe, states) or self._shadowed(changes, now)
        moment = self._moment()
        if not reason and rules == state["rules"] and self._is_complete(config):
            self.part = self._part(now, makefiles, config, changes, moment, states)
        (self.keep / _COMPLETE).unlink(missing_ok=True)
        if reason:
            if state:
                self.said.append(f"the object tree is made anew: {reason}")
            self._clean()
            moment = self._moment()
            state = {"recipe": recipe, "floor": moment, "since": {}}
        else:
            self.said.append(f"the object tree is kept; {len(changes.all)} source files differ")
            lasting = {path: since for path, since in state["since"].items() if path not in changes.removed}
            state["since"] = {**lasting, **dict.fromkeys(changes.added | changes.changed, moment)}
        state |= {"journal": journal, "rules": rules}
        self.named = rules[2].split()
        self.rules = hashlib.sha256(repr((sorted(recipe.items()), rules, config)).encode()).hexdigest()
        (self.keep / _UNFINISHED).touch()
        if not reason and (unnoted := self._unnoted(config, changes)):
            self.part = None
            for path in unnoted:
                (self.folder / path).unlink(missing_ok=True)
        store_book(self.keep / "state", state)
        sources.set_times(self.tree, now, state["since"], state["floor"])
        self._put_config(config)
        self.config = config
        return now

    def close(self, *, complete: bool) -> None:
        """Seal the tree: make has come to its end and left nothing half made.

        Args:
            complete: It has made all that it was asked for. If it has not, a tree whose kbuild leaves what a command
                that failed has half made is not sealed.
        """
        if not complete and _TIDY not in self._text(_KBUILD):
            return
        store_book(self.keep / "seal", self._states())
        (self.keep / _UNFINISHED).unlink()
        if complete:
            (self.keep / _COMPLETE).touch()

    def is_made(self) -> bool:
        """Whether make, which has looked into `part` alone, has made all that it should have.

        kconfig changes a config that is not as it would write it, and then makes more of it known than was asked for.
        """
        return bool(self.part and self.part.is_made(self.folder) and (self.folder / _CONFIG).read_text() == self.config)

    def _is_complete(self, config: str) -> bool:
        """Whether all that is to be made was made, but for what follows from sources that differ.

        Before Linux 5.3 kbuild takes the modules' names from .tmp_versions (MODVERDIR), which each folder's make fills.
        """
        settings = _settings(config)
        return (
            (self.keep / _COMPLETE).exists()
            and not (self.keep / _UNFINISHED).exists()
            and not any(settings.get(option) == "y" for option in _NEED_ALL)
            and not initramfs.names(config)
            and not (self.folder / ".tmp_versions").exists()
        )

    def _part(
        self, now: Journal, paths: Sequence[str], config: str, changes: Changes, moment: int, states: Seal
    ) -> Part | None:
        """What has to be made again of a complete tree, where that can be told."""
        links = (path for path, entry in now.items() if entry.link)
        matter = [path for path in changes.all if not _TEXTS.fullmatch(path)]
        if not changes.changed.issuperset(matter) or any(self._is_behind(link, matter) for link in links):
            return None
        before = (self.folder / _CONFIG).read_text()
        options = None if config == before else _differing(_settings(before), _settings(config))
        entered = {path.rpartition("/")[0] for path in states if path.endswith(_LEFT_IN_FOLDERS)}
        makefiles = Makefiles(tree=self.tree, paths=paths, srcarch=self.srcarch, entered=entered)
        return part_of(self.folder, states, makefiles, Change(sources=matter, options=options, since=moment))

    def _is_behind(self, link: str, paths: Sequence[str]) -> bool:
        """Whether one of the files has another name by way of a link, which the notes of objects may have."""
        real = os.path.relpath(os.path.realpath(self.tree / link), os.path.realpath(self.tree))
        return real == "." or any(f"{path}/".startswith(f"{real}/") for path in paths)

    def _unnoted(self, config: str, changes: Changes) -> list[str]:
        """Objects that may have to be made again for what kbuild does not note of them, or does not look at."""
        found = made_of(self.folder, self.tree, [path for path in changes.removed if path.endswith(SOURCES)])
        settings = _settings(config)
        if settings.get("MODVERSIONS") != "y":
            return found
        before = (self.folder / _CONFIG).read_text() if (self.folder / _CONFIG).is_file() else ""
        options = _differing(_settings(before), settings)
        return found + asmversions.stale(self.folder, self.tree, self.srcarch, changes.all, options)

    def _put_config(self, config: str) -> None:
        """Write .config unless it is equal: kbuild goes by its time."""
        target = self.folder / _CONFIG
        if not target.is_file() or target.read_text() != config:
            target.write_text(config)

    def _moment(self) -> int:
        """Now, by the clock that dates the files of the object tree; all that is made from now on is newer."""
        probe = self.keep / "clock"
        probe.touch()
        moment = probe.stat().st_mtime_ns
        time.sleep(TICK_SECONDS)
        return moment

    # What the last build left.

    def _unsound(self, state: Mapping[str, Any], recipe: Mapping[str, Any], states: Seal) -> str | None:
        """Why the tree cannot be built on; one that a build died in is set back to its seal."""
        seal = load_book(self.keep / "seal")
        if not state or seal is None:
            return "the build before did not come to its end"
        for name, value in recipe.items():
            if state["recipe"].get(name) != value:
                return f"{name} differs"
        if any(mtime >= time.time_ns() for _, mtime, _ in states.values()):
            return "the clock went back"
        touched = {path for path in seal.keys() | states.keys() if seal.get(path) != states.get(path)}
        if not (self.keep / _UNFINISHED).exists():
            return f"something has touched it ({min(touched)})" if touched else None
        if any(path.startswith(_SYNCED) for path in touched):
            # kconfig tells kbuild what has changed by comparing with this file.
            return "the build before was stopped while its config was new"
        for path in touched & states.keys():
            (self.folder / path).unlink()
        self.said.append(f"{len(touched)} files of a stopped build are made anew")
        return None

    def _states(self) -> Seal:
        found: Seal = {}
        folders = [""]
        while folders:
            below = folders.pop()
            with os.scandir(self.folder / below) as entries:
                for entry in entries:
                    path = below + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders += [f"{path}/"] if path != KEEP else []
                    elif path != _LOCK:
                        stat = entry.stat(follow_symlinks=False)
                        found[path] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        return found

    def _clean(self) -> None:
        """Remove everything, the seal first: what is left of a cleaning that is killed is never built on."""
        (self.keep / "seal").unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        self.keep.mkdir()

    # What kbuild does not look at.

    def _hidden(self, now: Journal, config: str) -> dict[str, Any]:
        """The part of the recipe that lies in the sources and in the config."""
        settings = _settings(config)
        hidden = {path: entry for path, entry in now.items() if entry.link or self._is_hidden(path)}
        inputs = "".join(f"{path} {entry.digest} {entry.mode:o}\n" for path, entry in sorted(hidden.items()))
        named: set[str] = set()
        for path in hidden:
            if path != _INSTALLING and self._is_leftover_makefile(path):
                named.update(_OPTION.findall(self._text(path)))
        tools = sorted(path for path in now if path.startswith(TOOLS) and path.endswith(HEADERS))
        return {
            "a script or a Makefile of the source": hashlib.sha256(os.fsencode(inputs)).hexdigest(),
            # Host programs' lists of dependencies leave the system's headers out, which these may take the place of.
            "which headers the tools have": hashlib.sha256(os.fsencode("\n".join(tools))).hexdigest(),
            "an option that decides which tools and headers there are": {
                name: settings[name] for name in sorted(named) if settings.get(name, "n") != "n"
            },
        }

    def _rules(self, now: Journal, paths: Sequence[str], known: list[str] | None) -> list[str]:
        """A checksum over all Makefiles, one over what they say beside lists of objects and flags, and what
        headers they name.

        Not every rule saves its command, by which kbuild would notice that it differs.

        Args:
            paths: Those of the Makefiles.
            known: What the build before found.
        """
        makefiles = [path for path in paths if not path.startswith(("Documentation/", "tools/"))]
        digests = hashlib.sha256(os.fsencode("".join(f"{path} {now[path].digest}\n" for path in makefiles))).hexdigest()
        if known and known[0] == digests:
            return known
        found, named = hashlib.sha256(), set[str]()
        no_rule = _COMMENT if _UNORDERED in self._text(_KBUILD) else _NO_RULE
        for path in makefiles:
            text = self._text(path).replace("\\\n", " ")
            named |= named_headers(text)
            rules = [line for line in text.splitlines() if line.strip() and not no_rule.match(line)]
            found.update("\n".join([path, *rules] if rules else []).encode(errors="replace"))
        return [digests, found.hexdigest(), " ".join(sorted(named))]

    def _makefiles(self, journal: Journal) -> list[str]:
        """The paths of all Makefiles, and of what they include by such names; not of links to what is no file."""
        named = (path for path in journal if path.rpartition("/")[2].startswith(("Makefile", "Kbuild")))
        return sorted(path for path in named if not journal[path].link or (self.tree / path).is_file())

    @cached_property
    def _programs(self) -> tuple[str, ...]:
        return (*PROGRAMS, f"arch/{self.srcarch}/tools/")

    def _is_hidden(self, path: str) -> bool:
        """Whether targets are made from this file without naming it: also from what a host program is made of, where
        kbuild makes the program again, and not what it has worked on (resolve_btfids, relocs, libbpf of BPF_PRELOAD).
        """
        if path.startswith(_NO_INPUT):
            return False
        hidden = path == _UNNOTED_HEADER or path.startswith(self._programs) or path.endswith(_PROGRAMS)
        return hidden or self._is_leftover_makefile(path)

    def _is_leftover_makefile(self, path: str) -> bool:
        """Whether this Makefile decides which host programs and generated headers there are."""
        folder, _, name = path.rpartition("/")
        if not name.startswith(("Makefile", "Kbuild", "Build")):
            return False
        arch = f"arch/{self.srcarch}"
        if folder in ("", arch, "tools") or f"{folder}/".startswith((*PROGRAMS, "include/", f"{arch}/include/")):
            return True
        return folder.startswith(f"{arch}/") and "generated" in self._text(path)

    def _text(self, path: str) -> str:
        """A file of the source; empty for a link that leads to none."""
        file = self.tree / path
        return file.read_text(errors="replace") if file.is_file() else ""

    def _shadowed(self, changes: Changes, now: Journal) -> str | None:
        """Why something may be included now that was not before, without a change to anything that is named."""
        for name in sorted(self._twice(changes.added, now)):
            if any(name in note for note in self._notes()):
                return f"a new {name} may be included in another's place"
        if sources.asked_for(self.tree, now, changes.added | changes.removed):
            return "a file asks whether one is there that has come or gone"
        for path in sorted(changes.removed):
            if PurePosixPath(path).suffix not in COMPILED and not path.startswith(_NO_INPUT):
                return f"{path} is gone, which a rule may have taken for what there was ($(wildcard))"
        for path in sorted(() if self.noted else changes.changed):
            if not path.endswith((*COMPILED, *_TOLD)) and not path.startswith(_NO_INPUT):
                return f"{path} differs, which the assembler may have read (.incbin)"
        return None

    def _twice(self, added: frozenset[str], now: Journal) -> set[str]:
        """The names of new files that another file of the sources or of the object tree has as well."""
        names = {path.rpartition("/")[2] for path in added} - _NOT_INCLUDED
        if not names:
            return set()
        others = {path.rpartition("/")[2] for path in now if path not in added}
        return names & (others | {path.name for path in self.folder.rglob("*.h")})

    def _notes(self) -> Iterator[frozenset[str]]:
        """For each object, the names of the files that it includes, as kbuild noted them."""
        for note in self.folder.rglob(".*.cmd"):
            lines = note.read_text(errors="replace").splitlines()
            words = (line.split() for line in lines if not line.startswith(("savedcmd_", "cmd_", "source_")))
            yield frozenset(word.rpartition("/")[2] for line in words for word in line)


def _settings(config: str) -> dict[str, str]:
    """The values by option of the text of a .config."""
    return dict(_SETTING.findall(config))


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """The options that have another value."""
    return {option for option in before.keys() | now.keys() if before.get(option) != now.get(option)}
