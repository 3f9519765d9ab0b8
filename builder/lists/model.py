"""What `rosk lists` knows of a kernel, the lists as they are written, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from builder.lists.boot import boot_reason
from builder.settings import ListRule
from builder.stages.lists import COMMENT, Problem, in_both, pattern, problem, read_list
from builder.stages.modules import ModuleSet
from builder.stages.split import EXTRA_LIST, MAIN_LIST, Known, Lists

CORE, EXTRA, LEFT = "core", "extra", "error"
LIST_OF: Mapping[str, str] = {CORE: MAIN_LIST, EXTRA: EXTRA_LIST}
"""The list that names what goes to `core` or `extra`, by its name in the build context."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """What is known of a kernel's modules.

    Attributes:
        v: The kernel release (`6.12.118-rosk`).
        built: Its modules. Those of `unseen` have nothing but their path.
        known: The options that build modules, and the config.
        unseen: Modules that no release has had yet, so that nobody knows what they depend on.
        needs: Module → modules that it may depend on, by what Kconfig says.
        sources: Where all this comes from, a line each.
    """

    v: str
    built: ModuleSet
    known: Known
    unseen: frozenset[str] = frozenset()
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def option(self, path: str) -> str | None:
        """The option that builds a module, with its value (`CONFIG_EXT4_FS=m`)."""
        option = self.known.options.get(path)
        return f"{option}={self.known.config.get(option, 'n')}" if option else None


def listable(path: str) -> bool:
    """Whether a line of a list can name just this module: file names can have any characters."""
    plain = path.isprintable() and not COMMENT.search(path) and not any(char in path for char in "*?[")
    return plain and path == path.strip() and problem(path) is None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the settings say of the lists; see `builder.settings.Lists`.

    Attributes:
        external: Folder below lib/modules/V → the names of the external modules that are built to there.
    """

    unlisted: str = "error"
    softdeps: str = "report"
    rules: tuple[ListRule, ...] = ()
    external: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def destination(self, path: str) -> tuple[str, str]:
        """Where `rosk lists fix` puts a module that no list names, and why."""
        if not listable(path):
            return LEFT, "its path cannot be a line of a list"
        for rule in self.rules:
            if pattern(rule.glob).fullmatch(path):
                return rule.to, f"rule {rule.glob}"
        if boot_reason(path):
            return CORE, "a machine may need it to boot"
        return EXTRA, "no rule names it"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The two lists as they are written.

    Attributes:
        lists: Their lines that are right.
        problems: What is wrong with the others.
    """

    main: str
    extra: str
    lists: Lists
    problems: tuple[Problem, ...]

    def of(self, name: str) -> str:
        """The text of a list by its name in the build context."""
        return self.main if name == MAIN_LIST else self.extra


def read_texts(main: str, extra: str) -> Texts:
    """Read the two lists.

    Raises:
        StageError: One is not a text.
    """
    entries, problems = read_list(main, MAIN_LIST)
    others, more = read_list(extra, EXTRA_LIST)
    both = in_both(entries, others)
    return Texts(main=main, extra=extra, lists=Lists(main=entries, extra=others), problems=(*problems, *more, *both))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with the lists.

    Attributes:
        kind: A fixed word, one of `builder.lists.check.KINDS`.
        error: It stops a build; else it is a warning.
        note: It is nothing that could be wrong as far as is known: no warning either.
        what: One line for people.
        hint: What to do; may be empty.
        path: The module, or the line of the list.
        where: The list, as a name of the build context (`lists/modules.list`); None for what no list says.
        line: The 1-based line in it.
    """

    kind: str
    error: bool
    what: str
    hint: str = ""
    path: str
    where: str | None = None
    line: int | None = None
    note: bool = False

    def made_strict(self) -> Finding:
        """As an error, unless it is a note."""
        return replace(self, error=not self.note)
