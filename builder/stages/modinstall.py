"""Install the modules that make has left in an object tree as `make modules_install` does, in less time.

kbuild copies and strips each module in shells of its own, also those that it installed the last time. What its recipes
are for this kernel and config it says itself (`make -n modules_install`), and that is done here: the same copies, and
of stripped modules those that are kept from the build before. Where a recipe does more than copy and strip modules
(it signs or compresses them, makes the firmware of old kernels, was patched), nothing is done here, and modules_install
has to run.

What kbuild says is kept as well, with what it follows from: make needs half a second to say that nothing is new. A kept
copy counts while it and the module that it was made from have the size and the times that a book has for them,
and the same program stripped it. The book is written last: of a build that is killed nothing counts that it does not
name.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from builder.stages.books import load_book, store_book

_FILES_PER_STRIP = 64
_ITEM = TypeVar("_ITEM")

# What kbuild's `cmd` puts before a command (scripts/Kbuild.include): it says what it does, or stops saying anything,
# and removes what is half made when it is stopped.
_BEFORE = re.compile(r"(?:\s*(?:set -e|exec >/dev/null|echo (?:'[^']*'|\\')+|trap '[^']*' [A-Z]+)?\s*;)*\s*")
# make's own lines: of folders, and of the makes that it starts. Those say what they would do too.
_MAKE = re.compile(
    r"make(?:\[\d+\])?: (?:Entering|Leaving) directory .*"
    r"|make\s+(?:[\w@%+=:,./-]+\s+)*-f \S+/Makefile(?:\.\w+)?(?:\s[\w@%+=:,./\s-]*)?"
)
_PLAIN = re.compile(r"[\w@%+=:,./ \t-]*")


class UnknownCommandError(Exception):
    """modules_install does something that is not known here; the text is that line."""


@dataclass(kw_only=True)
class Plan:
    """What modules_install does.

    Attributes:
        folders: Those that it makes, from its root on.
        copies: What it copies: path from its root on → path from the object tree on.
        strips: Those of the copies that it strips, with the words of the command before the name of the file.
        scripts: The commands for the shell that make other files.
    """

    folders: set[Path] = field(default_factory=set)
    copies: dict[Path, str] = field(default_factory=dict)
    strips: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)


def read_plan(said: str, root: Path, release: str) -> Plan:
    """Read what `make -n modules_install` says.

    Args:
        said: Its standard output.
        root: INSTALL_MOD_PATH; nothing is below it.
        release: The kernel release.

    Raises:
        UnknownCommandError: A line is not known to do nothing else than copy, strip, or what is of no account here:
            the links to source and object tree, and depmod, which is `true` (DEPMOD).
    """
    below = re.escape(f"{root}/lib/modules/{release}")
    no_account = re.compile(
        rf"rm -r?fr? {below}/(?:kernel|source|build)(?: {below}/build)?"
        rf"|ln -sf?n? (?:\S+|`cd \S+ && /bin/pwd`) {below}/(?:source|build)"
        rf"|if \[ ! \S+ -ef {below}/build \]; then rm -f {below}/build ; ln -s \S+ {below}/build ; fi"
        rf"|(?:\S+ )?\S+/scripts/depmod\.sh(?: true)? {re.escape(release)}(?: \"_?\")?"
    )
    script = re.compile(rf"sed '[^']*' modules\.\w+ > {below}/modules\.\w+")
    plan = Plan()
    for line in said.replace("\\\n", " ").splitlines():
        command = _BEFORE.sub("", line, count=1).strip()
        if _MAKE.fullmatch(command) or no_account.fullmatch(" ".join(command.split())):
            continue
        if script.fullmatch(command):
            plan.scripts.append(command)
            continue
        for simple in re.split(r";|&&", command):
            if not _PLAIN.fullmatch(simple) or not _add(plan, simple.split(), root):
                raise UnknownCommandError(command)
    return plan


def _add(plan: Plan, words: Sequence[str], root: Path) -> bool:
    """Add a command to a plan; returns whether it is known."""
    program = words[0] if words else ":"
    if program in (":", "true"):
        return True
    if not words[-1].startswith(f"{root}/") or ".." in words[-1].split("/"):
        return False
    target = Path(words[-1][len(f"{root}/") :].lstrip("/"))
    if program == "mkdir" and list(words[1:-1]) == ["-p"]:
        plan.folders.add(target)
        return True
    if program == "cp" and len(words) == 3 + (words[1] == "-f") and not words[-2].startswith("-"):
        if words[-1].endswith("/") or target in plan.folders:
            target /= Path(words[-2]).name
        known = target not in plan.copies
        plan.copies[target] = words[-2]
        return known
    if re.fullmatch(r"(?:\S*/)?[\w.-]*strip[\w.-]*", program) and list(words[1:-1]) == ["--strip-debug"]:
        known = target in plan.copies and target not in plan.strips
        plan.strips[target] = tuple(words[:-1])
        return known
    return False


@dataclass(frozen=True, kw_only=True)
class Installed:
    """How many modules were installed and stripped, and how many of them are not those of the build before."""

    modules: int
    stripped: int


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Where modules are installed from and to.

    Attributes:
        make: make's command line without targets; INSTALL_MOD_STRIP and DEPMOD=true are in it.
        environment: make's environment.
        obj: The object tree.
        root: INSTALL_MOD_PATH; there is nothing yet.
        release: The kernel release.
        keep: The folder of stripped copies; need not exist.
        rules: What the recipes follow from beside `make`, `environment` and modules.order: any word that is another one
            when they may be others; empty where that is not known.
        passing: What stands in `environment` and is another name each time; no recipe has it.
        jobs: How many programs to run at once.
    """

    make: Sequence[str]
    environment: Mapping[str, str]
    obj: Path
    root: Path
    release: str
    keep: Path
    jobs: int
    rules: str = ""
    passing: str = ""

    def run(self) -> Installed:
        """Install.

        Raises:
            UnknownCommandError: Nothing was; modules_install has to run, which says what is wrong if something is.
            OSError: A file cannot be read or written.
        """
        plan = self._ask()
        stripped = self._stripped(plan)
        for folder in {self.root / path for path in plan.folders | {path.parent for path in plan.copies}}:
            folder.mkdir(parents=True, exist_ok=True)
        self._at_once(
            lambda path: _copy(
                self._kept(path) if path in plan.strips else self.obj / plan.copies[path], self.root / path
            ),
            plan.copies,
        )
        for script in plan.scripts:
            if subprocess.run(["sh", "-c", script], cwd=self.obj, env=self.environment).returncode != 0:
                raise UnknownCommandError(f"{script} fails")
        return Installed(modules=len(plan.strips), stripped=stripped)

    def _ask(self) -> Plan:
        if self.root.exists():
            raise UnknownCommandError(f"something is in {self.root}")
        key = self._key()
        before = load_book(self.keep / "said") or {}
        said = before["said"] if key and before.get("key") == key else self._said()
        plan = read_plan(said, self.root, self.release)
        if key and before.get("key") != key and not (self.passing and self.passing in said):
            self.keep.mkdir(parents=True, exist_ok=True)
            store_book(self.keep / "said", {"key": key, "said": said})
        return plan

    def _key(self) -> str:
        """What tells that make would say the same again; empty where nothing does.

        Before Linux 5.3 kbuild takes the modules' names from .tmp_versions (MODVERDIR), which it makes anew each time.
        """
        order = self.obj / "modules.order"
        if not self.rules or not order.is_file() or (self.obj / ".tmp_versions").exists():
            return ""
        environment = sorted(self.environment.items())
        if self.passing:
            environment = [(name, value.replace(self.passing, "")) for name, value in environment]
        told = [self.rules, self.make, environment, str(self.root), self.release]
        return hashlib.sha256(repr(told).encode() + order.read_bytes()).hexdigest()

    def _said(self) -> str:
        # One job: the makes that it starts would speak at once.
        argv = [*self.make, "-n", "-j1", "modules_install"]
        done = subprocess.run(
            argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
        if done.returncode != 0:
            raise UnknownCommandError((done.stderr.strip().splitlines() or ["make -n fails"])[0])
        return done.stdout

    # The stripped copies.

    def _kept(self, path: Path) -> Path:
        return self.keep / "stripped" / path

    def _stripped(self, plan: Plan) -> int:
        """Bring the kept copies up to date; returns how many had to be made."""
        before = load_book(self.keep / "book") or {}
        tools = {command: self._tool(command) for command in set(plan.strips.values())}
        wanted = {path: [_state(self.obj / plan.copies[path]), tools[plan.strips[path]]] for path in plan.strips}
        old = [path for path in wanted if before.get(str(path)) != [*wanted[path], _state(self._kept(path), link=True)]]
        new = self.keep / "new"
        shutil.rmtree(new, ignore_errors=True)
        for command in tools:
            paths = [path for path in old if plan.strips[path] == command]
            number = max(self.jobs, -(-len(paths) // _FILES_PER_STRIP))
            parts = [part for first in range(number) if (part := paths[first::number])]
            self._at_once(partial(self._strip, command, plan.copies), parts)
        shutil.rmtree(new, ignore_errors=True)
        for folder, _, names in os.walk(self.keep / "stripped"):
            for name in names:
                if Path(folder, name).relative_to(self.keep / "stripped") not in wanted:
                    Path(folder, name).unlink()
        if old or before.keys() != {str(path) for path in wanted}:
            now = {str(path): [*made_of, _state(self._kept(path), link=True)] for path, made_of in wanted.items()}
            self.keep.mkdir(parents=True, exist_ok=True)
            store_book(self.keep / "book", now)
        return len(old)

    def _strip(self, command: Sequence[str], sources: Mapping[Path, str], paths: Sequence[Path]) -> None:
        """Make the kept copies of these modules, in one run of the program: it starts slower than it strips."""
        new = self.keep / "new"
        for path in paths:
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            _copy(self.obj / sources[path], new / path)
        done = subprocess.run(
            [*command, *map(str, paths)], cwd=new, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True
        )
        if done.returncode != 0:
            raise UnknownCommandError(f"{' '.join(command)} fails")
        for path in paths:
            self._kept(path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).replace(self._kept(path))

    def _tool(self, command: Sequence[str]) -> list[Any]:
        """What has to be the same for a module to be stripped to the same bytes."""
        found = shutil.which(command[0], path=self.environment.get("PATH"))
        return [*command, found, (_state(Path(found)) or [])[:2] if found else None]

    def _at_once(self, do: Callable[[_ITEM], None], items: Iterable[_ITEM]) -> None:
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for _ in pool.map(do, items):
                    pass
            finally:
                pool.shutdown(cancel_futures=True)


def _state(path: Path, *, link: bool = False) -> list[int] | None:
    """What tells that a file was written: its size, mtime and ctime (nanoseconds); None when there is none.

    Args:
        link: Of the file itself, also if that is a link.
    """
    try:
        stat = path.lstat() if link else path.stat()
    except FileNotFoundError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _copy(source: Path, target: Path) -> None:
    """Copy a file as cp does: the mode is that of the source, less the umask."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, source.stat().st_mode & 0o777))
    shutil.copyfile(source, target)
