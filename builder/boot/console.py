"""Reads the console of a kernel under test and says what happened: the words of builder/boot/init.sh, and the kernel's.

Pure: lines go in, a report comes out. What the guest says is believed as far as it goes; it runs in a machine that
has nothing to lose.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

LAST_LINES = 15
"""So many lines of the console are kept for people, from its end and from where trouble starts."""

_STAMP = re.compile(r"(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_OURS = re.compile(r"rosk: (begin|end|trying|ok|fail|loading|module)(?: (.*))?$")
_FAIL = re.compile(r"(\S+): ?(.*)")
_MODULE = re.compile(r"(\S+) (?:(loaded)|refused: ?(.*))")
_FIRMWARE = re.compile(
    r"Direct firmware load for (\S+) failed with error|firmware: failed to load (\S+) \(-?\d+\)"  # Debian's own words
)
_SYMBOL = re.compile(r"Unknown symbol (\S+)|disagrees about version of symbol (\S+)")

_NO_DEVICE = ("No such device", "No such device or address", "Operation not supported", "Not supported")
_MISFIT = ("invalid module format", "Exec format error", "Key was rejected", "Required key", "Key has been")
_HUNG = "no answer in"


class Trouble(StrEnum):
    """What a kernel says when it is in trouble; from what is not in `GRAVE` it may recover."""

    OOPS = "oops"
    PANIC = "panic"
    BUG = "bug"
    MEMORY = "memory"
    STALL = "stall"
    WARNING = "warning"


_TROUBLE: tuple[tuple[Trouble, re.Pattern[str]], ...] = (
    (Trouble.MEMORY, re.compile(r"Out of memory: Killed|Initramfs unpacking failed: write error|deadlocked on memory")),
    (Trouble.PANIC, re.compile(r"Kernel panic - not syncing")),
    (Trouble.STALL, re.compile(r"soft lockup|hard LOCKUP|workqueue lockup")),
    (Trouble.STALL, re.compile(r"rcu.*(?:self-detected stall|detected stalls|kthread starved)")),
    (Trouble.STALL, re.compile(r"INFO: task \S+ blocked for more than")),
    (Trouble.OOPS, re.compile(r"Oops: |Internal error: |general protection fault.*\[#|Unable to handle kernel")),
    (Trouble.OOPS, re.compile(r"BUG: (?:kernel NULL pointer|unable to handle|KASAN)")),
    (Trouble.BUG, re.compile(r"kernel BUG at |\bBUG: ")),
    (Trouble.WARNING, re.compile(r"WARNING: CPU: ")),
)
GRAVE = (Trouble.OOPS, Trouble.PANIC, Trouble.BUG)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check of the init: its name, and why it failed (empty when it did not)."""

    name: str
    why: str = ""

    @property
    def ok(self) -> bool:
        return not self.why


class Outcome(StrEnum):
    """What became of loading a module.

    `NO_DEVICE`: it wants hardware that the virtual machine lacks. `DEPENDENCY`: so does one that it needs. `REFUSED`:
    it gave another error, as drivers without their hardware do. `MISFIT`: it does not fit this kernel (format, symbol,
    signature). `HUNG`: no answer. `FATAL`: the kernel's end.
    """

    LOADED = "loaded"
    NO_DEVICE = "no device"
    DEPENDENCY = "dependency"
    REFUSED = "refused"
    MISFIT = "misfit"
    HUNG = "hung"
    FATAL = "fatal"


BAD = (Outcome.MISFIT, Outcome.HUNG, Outcome.FATAL)
"""What is wrong with a release, not with the machine it runs on."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module that was to be loaded: its path as under lib/modules/V, and why it was not loaded."""

    path: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A piece of trouble: its kind and line, what the init was doing (a check, a module's path), and what followed."""

    kind: Trouble
    line: str
    doing: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a console tells.

    Attributes:
        spoke: The kernel printed something.
        begun, ended: The init began, and came to its end.
        doing: What it was doing at last: a check's name or a module's path; empty after its end.
        checks, modules: In the order in which they ran.
        firmware: What was asked for and is not there, in the order of the first requests.
        incidents: Trouble, in its order.
        last: The last lines of the console.
    """

    spoke: bool = False
    begun: bool = False
    ended: bool = False
    doing: str = ""
    checks: tuple[Check, ...] = ()
    modules: tuple[Module, ...] = ()
    firmware: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()
    last: tuple[str, ...] = ()

    @property
    def grave(self) -> Incident | None:
        """What is wrong first of all: what follows comes of it."""
        return next((incident for incident in self.incidents if incident.kind in GRAVE), None)


@dataclass(kw_only=True)
class _Watched:
    """An incident whose lines still come."""

    kind: Trouble
    line: str
    doing: str
    lines: list[str] = field(default_factory=list)


class Console:
    """A console as it is read.

    Args:
        depends: Module path to the paths of those that it cannot be loaded without.
        lacking: Module path to why it cannot be loaded, of those for which that is known.
    """

    def __init__(
        self, depends: Mapping[str, Iterable[str]] | None = None, lacking: Mapping[str, str] | None = None
    ) -> None:
        self._depends = depends or {}
        self._lacking = lacking or {}
        self._spoke = self._begun = self._ended = False
        self._doing = ""
        self._checks: list[Check] = []
        self._modules: dict[str, Module] = {}
        self._firmware: dict[str, None] = {}
        self._incidents: list[_Watched] = []
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._said: list[str] = []

    def feed(self, line: str) -> None:
        """Read one line, without its end."""
        text = _ESCAPES.sub("", line).rstrip()
        if not text:
            return
        self._last.append(text)
        said, stamps = _STAMP.subn("", text, count=1)
        self._spoke = self._spoke or bool(stamps) or said.startswith("Linux version ")
        if ours := _OURS.match(said):
            self._take(ours[1], ours[2] or "")
        else:
            self._hear(said)

    @property
    def doing(self) -> str:
        """What the init is doing now; empty before and after."""
        return self._doing

    @property
    def counts(self) -> tuple[int, int]:
        """How many checks and modules are done."""
        return len(self._checks), len(self._modules)

    def report(self) -> Report:
        """What was read so far."""
        modules = dict(self._modules)
        incidents = tuple(
            Incident(kind=each.kind, line=each.line, doing=each.doing, lines=tuple(each.lines))
            for each in self._incidents
        )
        grave = next((each for each in incidents if each.kind in GRAVE), None)
        if grave and grave.doing.endswith(".ko") and grave.doing not in modules:
            modules[grave.doing] = Module(path=grave.doing, outcome=Outcome.FATAL, why=grave.line)
        return Report(
            spoke=self._spoke,
            begun=self._begun,
            ended=self._ended,
            doing=self._doing,
            checks=tuple(self._checks),
            modules=tuple(modules.values()),
            firmware=tuple(self._firmware),
            incidents=incidents,
            last=tuple(self._last),
        )

    def _take(self, word: str, rest: str) -> None:
        """A line of the init."""
        self._spoke = self._begun = True
        if word in ("trying", "loading"):
            self._doing, self._said = rest, []
            return
        if word == "end":
            self._ended = True
        elif word == "ok":
            self._checks.append(Check(name=rest))
        elif word == "fail" and (found := _FAIL.match(rest)):
            self._checks.append(Check(name=found[1], why=found[2] or "it failed without a word"))
        elif word == "module" and (found := _MODULE.match(rest)):
            path = found[1]
            self._modules[path] = (
                Module(path=path, outcome=Outcome.LOADED) if found[2] else self._refused(path, found[3])
            )
        self._doing = ""

    def _hear(self, said: str) -> None:
        """A line of the kernel, or of a program."""
        self._said.append(said)
        if missing := _FIRMWARE.search(said):
            self._firmware.setdefault(missing[1] or missing[2])
        kind = next((kind for kind, words in _TROUBLE if words.search(said)), None)
        if kind is not None:
            self._incidents.append(_Watched(kind=kind, line=said, doing=self._doing))
        for incident in self._incidents[-3:]:
            if len(incident.lines) < LAST_LINES:
                incident.lines.append(said)

    def _refused(self, path: str, why: str) -> Module:
        """A module that was not loaded: what insmod said, and the kernel's words about symbols."""
        why = why.rpartition("': ")[2] or "insmod failed without a word"
        if why.startswith("unknown symbol in module"):
            why = "No such file or directory"  # busybox's guess at ENOENT, which drivers give too
        if why.startswith(_HUNG):
            return Module(path=path, outcome=Outcome.HUNG, why=why)
        if path in self._lacking:
            return Module(path=path, outcome=Outcome.MISFIT, why=self._lacking[path])
        missing = [name for each in self._depends.get(path, ()) if (name := self._not_loaded(each))]
        if missing:
            bad = any(self._modules[name].outcome in BAD for name in missing if name in self._modules)
            outcome = Outcome.MISFIT if bad else Outcome.DEPENDENCY
            return Module(path=path, outcome=outcome, why=f"{missing[0]} is not loaded")
        found = [match for said in self._said if (match := _SYMBOL.search(said))]
        if found:
            first = f"the kernel has another {found[0][2]}" if found[0][2] else f"the kernel lacks {found[0][1]}"
            more = len({match[1] or match[2] for match in found}) - 1
            symbols = f"{first} and {more} more symbols" if more else f"{first}, a symbol"
            return Module(path=path, outcome=Outcome.MISFIT, why=symbols)
        if why in _NO_DEVICE:
            return Module(path=path, outcome=Outcome.NO_DEVICE, why=why)
        told = f"{why} ({self._said[-1]})" if self._said else why
        return Module(path=path, outcome=Outcome.MISFIT if why.startswith(_MISFIT) else Outcome.REFUSED, why=told)

    def _not_loaded(self, path: str) -> str | None:
        """A module that was tried and did not load, or None."""
        module = self._modules.get(path)
        return path if module is not None and module.outcome != Outcome.LOADED else None
