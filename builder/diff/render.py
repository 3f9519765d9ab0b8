"""The differences of two releases, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.text import Text

from builder.diff.compare import Change, Differences, Files, Moved, Sorted
from builder.diff.contents import Shipped
from builder.diff.symvers import Symbol
from builder.differ import short
from builder.release import human_size
from builder.view import clean

SHOWN = 20
"""So many lines of each kind are shown without `--full`."""

_ANSWERS = {True: ("yes", "bold red"), False: ("no", "bold green"), None: ("cannot be told", "bold yellow")}


def print_differences(console: Console, found: Differences, *, full: bool = False) -> None:
    """Print a summary, and then what there is to say of each part.

    Args:
        full: Do not leave out the rest of long lists.
    """
    page = Page(console, full=full)
    old, new = found.old, found.new
    arches = new.a if old.a == new.a else f"{old.a} -> {new.a}"
    page.line(f"{old.v} -> {new.v} ({arches})", "bold")
    page.line(f"  old  {old.name}")
    page.line(f"  new  {new.name}")
    for note in found.notes:
        page.line(f"  note: {note}", "yellow")
    if found.same:
        page.line("\nNothing differs", "bold green")
        return
    _print_rebuild(page, found)
    page.line("")
    for name, said in _summary(found):
        page.line(f"  {name:<9} {said}")
    _print_config(page, found)
    page.files("Modules", found.modules)
    if found.symbols:
        _print_symbols(page, found.symbols)
    page.files("Firmware", found.firmware)
    _print_origin(page, found)


class Page:
    """What is printed: lines, and lists that are cut where they are long."""

    def __init__(self, console: Console, *, full: bool) -> None:
        self.console = console
        self.full = full

    def line(self, line: str, style: str = "") -> None:
        """Print a line, without what its text could do to a terminal."""
        text = "\n".join(map(clean, line.split("\n")))
        encoding = self.console.encoding
        self.console.print(Text(text.encode(encoding, "replace").decode(encoding), style=style), soft_wrap=True)

    def list(self, title: str, lines: Iterable[str]) -> None:
        """Print a list under its title, if there is something in it."""
        rows = list(lines)
        if not rows:
            return
        self.line(f"\n{title} ({len(rows)})", "bold")
        shown = rows if self.full or len(rows) <= SHOWN + 1 else rows[:SHOWN]
        for row in shown:
            self.line(f"  {row}")
        if len(shown) < len(rows):
            self.line(f"  and {len(rows) - len(shown)} more (--full shows all)", "dim")

    def files(self, title: str, files: Files) -> None:
        """Print what differs of modules or firmware."""
        self.list(f"{title} added", (_file(path, file) for path, file in files.added.items()))
        self.list(f"{title} removed", (_file(path, file) for path, file in files.removed.items()))
        moved = (f"{each.path}  {each.old.package} package -> {each.new.package} package" for each in files.moved)
        self.list(f"{title} moved to another package", moved)
        self.list(f"{title} at another path", (f"{each.old_path} -> {each.path}" for each in files.renamed))
        self.list(f"{title} changed", map(_changed_file, files.changed))


def _print_rebuild(page: Page, found: Differences) -> None:
    answer, style = _ANSWERS[found.rebuild.needed]
    page.line(f"\nExternal modules must be rebuilt: {answer}", style)
    for reason in found.rebuild.reasons:
        page.line(f"  {reason}")


def _summary(found: Differences) -> Iterator[tuple[str, str]]:
    """What is said of each part on one line."""
    options = "option" if len(found.options) == 1 else "options"
    counts = {options: len(found.options), "of the version and the toolchain": len(found.toolchain_options)}
    yield "config", _counted(counts)
    yield "modules", f"{_counted(_file_counts(found.modules))}; {found.modules.total} in the new release"
    if found.keys_changed:
        yield "signed", " -> ".join(each.describe() for each in found.signing if each)
    elif any(each.keys for each in found.signing if each):
        yield "signed", "by the same key" if all(found.signing) else "not compared: of one release it is not known"
    if found.symbols is None:
        yield "symbols", "not compared: a release has no Module.symvers"
    else:
        yield "symbols", _counted(_counts(found.symbols))
    revisions = (found.old.revision or "none", found.new.revision or "none")
    revision = "" if revisions[0] == revisions[1] else f"; revision {revisions[0]} -> {revisions[1]}"
    yield "firmware", _counted(_file_counts(found.firmware)) + revision
    if found.source is not None:
        yield "source", ", ".join(_value(change) for change in found.source) or "same"
    if found.patches is not None:
        yield "patches", _counted(_counts(found.patches))
    if found.toolchain is not None:
        yield "toolchain", _counted(_counts(found.toolchain))
    yield "image", "the kernel image differs" if found.image_changed else "the kernel image is the same"
    for number, line in enumerate(_size(size) for size in found.sizes if size.old != size.new):
        yield "" if number else "sizes", line


def _counts(found: Sorted) -> dict[str, int]:
    return {"added": len(found.added), "removed": len(found.removed), "changed": len(found.changed)}


def _file_counts(files: Files) -> dict[str, int]:
    return {
        "added": len(files.added),
        "removed": len(files.removed),
        "moved to another package": len(files.moved),
        "at another path": len(files.renamed),
        "changed": len(files.changed),
    }


def _counted(counts: Mapping[str, int]) -> str:
    """`2 added, 1 removed`, or `same`."""
    return ", ".join(f"{number} {kind}" for kind, number in counts.items() if number) or "same"


def _print_config(page: Page, found: Differences) -> None:
    page.list("Config options", map(_value, found.options))
    page.list("Config options of the version and the toolchain", map(_value, found.toolchain_options))


def _print_symbols(page: Page, symbols: Sorted) -> None:
    page.list("Symbols added", (_symbol(name, symbol) for name, symbol in symbols.added.items()))
    page.list("Symbols removed", (_symbol(name, symbol) for name, symbol in symbols.removed.items()))
    page.list("Symbols changed", map(_changed_symbol, symbols.changed))


def _print_origin(page: Page, found: Differences) -> None:
    for title, part in (("Patches", found.patches), ("Toolchain packages", found.toolchain)):
        if part is None:
            continue
        versions = part is found.toolchain
        page.list(f"{title} added", (_named(name, value, versions) for name, value in part.added.items()))
        page.list(f"{title} removed", (_named(name, value, versions) for name, value in part.removed.items()))
        page.list(f"{title} changed", (_value(change) if versions else change.name for change in part.changed))


def _named(name: str, value: str, versions: bool) -> str:
    return f"{name} {value}" if versions else name


def _value(change: Change) -> str:
    return f"{change.name} {_plain(change.old)} -> {_plain(change.new)}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else short(value)


def _file(path: str, file: Shipped) -> str:
    return f"{path}  {file.package} package, {human_size(file.size)}"


def _changed_file(change: Moved) -> str:
    if change.old.size == change.new.size:
        return f"{change.path}  {human_size(change.new.size)}"
    return f"{change.path}  {human_size(change.old.size)} -> {human_size(change.new.size)}"


def _size(size: Change) -> str:
    if size.old is None or size.new is None:
        only = "old" if size.new is None else "new"
        return f"{size.name} {human_size(size.new if size.old is None else size.old)} (told of the {only} release only)"
    sign, by = ("+", size.new - size.old) if size.new > size.old else ("-", size.old - size.new)
    return f"{size.name} {human_size(size.old)} -> {human_size(size.new)} ({sign}{human_size(by)})"


def _symbol(name: str, symbol: Symbol) -> str:
    return f"{name}  {', '.join(filter(None, (symbol.exporter, symbol.export, symbol.namespace)))}"


def _changed_symbol(change: Change) -> str:
    """A symbol with what of it is another: `crc 0x12345678 -> 0x9abcdef0`."""
    old, new = change.old, change.new
    parts = (
        ("crc", f"0x{old.crc:08x}", f"0x{new.crc:08x}"),
        ("exporter", old.exporter, new.exporter),
        ("export", old.export, new.export),
        ("namespace", old.namespace or "none", new.namespace or "none"),
    )
    return f"{change.name}  " + ", ".join(f"{name} {one} -> {two}" for name, one, two in parts if one != two)
