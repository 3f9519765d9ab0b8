"""The module indexes (`modules.dep` and the others): fresh ones, made from the modules that ship, say the same.

The order of an index's lines is kmod's own affair and is not compared. What depends on the version of kmod is not
either: which newer indexes there are (`modules.weakdep` since 33), and how a binary index is laid out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.stages.common import StageError
from builder.stages.modules import normal
from builder.verify.depmod import depmod_version, find_depmod, index, index_ahead
from builder.verify.kmodindex import read_index
from builder.verify.model import Finding, check, unchecked, verdict
from builder.verify.subject import Subject

# Those of every kmod since 2012; contract for what a consumer's modprobe reads.
REQUIRED = (
    *("modules.dep", "modules.alias", "modules.symbols", "modules.softdep", "modules.devname"),
    *("modules.dep.bin", "modules.alias.bin", "modules.symbols.bin", "modules.builtin.bin"),
)
OPTIONAL = ("modules.weakdep", "modules.builtin.alias.bin")
_SETS = {("kernel",): "the kernel package", ("kernel", "extras"): "both packages"}
_ROWS = 20
"""Lines of one index that are said; a package whose index is of another one has thousands."""


def _index_ahead(subject: Subject) -> None:
    if depmod := find_depmod():
        subject.read_all()
        for kinds in _SETS:
            index_ahead(subject, depmod, kinds)


@check("depmod", meaning="installing the packages leaves modules that cannot be loaded", ahead=_index_ahead)
def depmod_is_silent(subject: Subject) -> Finding:
    """depmod has nothing to complain of: of the kernel package by itself, and with the extras installed.

    It exits with 0 on unresolved symbols, so that what counts is what it says.
    """
    depmod = find_depmod()
    if depmod is None:
        return unchecked("kmod's depmod")
    wrong = []
    for kinds, words in _SETS.items():
        wrong += [f"{words}: {line}" for line in index(subject, depmod, kinds).complaints]
    return verdict(f"the kernel package by itself, then both, by the depmod of {depmod_version(depmod)}", wrong)


@check("module-indexes", meaning="modprobe finds modules that are not there, or misses some that are", of="packages")
def indexes_are_fresh(subject: Subject) -> Finding:
    """The kernel package's indexes say of its modules what this machine's depmod says."""
    depmod = find_depmod()
    if depmod is None:
        return unchecked("kmod's depmod")
    indexed = index(subject, depmod, ("kernel",))
    shipped, fresh = subject.modules_folder("kernel"), indexed.folder
    wrong = [f"{name} is missing" for name in REQUIRED if not (shipped / name).is_file()]
    compared = [name for name in (*REQUIRED, *OPTIONAL) if (shipped / name).is_file() and (fresh / name).is_file()]
    if any(name.startswith("modules.builtin") for name in indexed.absent):
        compared = [name for name in compared if not name.startswith("modules.builtin")]
    for name in compared:
        wrong += _differences(name, shipped / name, fresh / name)
    return verdict(f"{len(compared)} indexes, against those of the depmod of {depmod_version(depmod)}", wrong)


def _differences(name: str, shipped: Path, fresh: Path) -> Iterator[str]:
    """What is wrong with an index that ships, a line each."""
    try:
        if name in ("modules.dep", "modules.dep.bin"):
            lines = list(_dependencies(name, shipped, fresh))
        else:
            lines = list(_unequal(name, _entries(shipped), _entries(fresh)))
    except StageError as error:
        lines = [error.what]
    yield from lines[:_ROWS]
    if len(lines) > _ROWS:
        yield f"{name}: {len(lines) - _ROWS} more lines"


def _entries(path: Path) -> Counter[str]:
    """What an index says, one text for each entry, in no order."""
    if path.suffix == ".bin":
        found = read_index(path.read_bytes(), path.name)
        return Counter(" ".join((key, *values)) for key, values in found.items())
    lines = path.read_text(errors="replace").splitlines()
    return Counter(line for line in lines if line and not line.startswith("#"))


def _unequal(name: str, shipped: Counter[str], fresh: Counter[str]) -> Iterator[str]:
    for entry in sorted((shipped - fresh).elements()):
        yield f"{name} has {entry!r}, which is not so of the modules that ship"
    for entry in sorted((fresh - shipped).elements()):
        yield f"{name} lacks {entry!r}"


def _dependencies(name: str, shipped: Path, fresh: Path) -> Iterator[str]:
    """modules.dep names all that a module needs, each before what that needs itself: modprobe loads from the end."""
    said, true = _needs(shipped), _needs(fresh)
    for path in sorted(said.keys() | true.keys()):
        if path not in said:
            yield f"{name} lacks {path}"
        elif path not in true:
            yield f"{name} has {path}, which the package has not"
        elif sorted(said[path]) != sorted(true[path]):
            yield f"{name} has {path} need {_listed(said[path])}; it needs {_listed(true[path])}"
        elif not _in_order(said[path], true):
            yield f"{name} has what {path} needs in an order in which it cannot be loaded: {_listed(said[path])}"


def _needs(path: Path) -> dict[str, list[str]]:
    """modules.dep or its binary form: the modules' paths, and what each needs, in order."""
    lines = (
        path.read_text(errors="replace").splitlines()
        if path.suffix != ".bin"
        else [value for values in read_index(path.read_bytes(), path.name).values() for value in values]
    )
    split = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {module: needs.split() for module, _, needs in split}


def _in_order(needs: list[str], true: Mapping[str, list[str]]) -> bool:
    place = {path: number for number, path in enumerate(needs)}
    return all(place[path] < place[other] for path in needs for other in true.get(path, ()) if other in place)


def _listed(needs: list[str]) -> str:
    return ", ".join(normal(path) for path in needs) or "nothing"
