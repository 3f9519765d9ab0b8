"""Into which folders of a kernel tree make has to look when options have another value, for what its Makefiles say.

Which objects there are, and with which flags, follows from the options that a Makefile names
(Documentation/kbuild/makefiles.rst). Which objects have to be made again for the options that they ask for is another
matter (`builder.stages.affected`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.stages.journal import content
from builder.stages.makefile import logical_lines

# They make nothing of a kernel, or (tools/) the options that they name are part of what an object tree is made with.
_NOT_OURS = ("Documentation/", "LICENSES/", "tools/")
_READS_CONFIG = re.compile(r"KCONFIG_CONFIG|auto\.conf|autoconf\.h|\.config\b")
_LIST = re.compile(r"\s*([\w-]+)-\$\(CONFIG_\w+\)\s*[+:]?=((?:\s*[\w./+-]+)*)\s*")
_INCLUDE = re.compile(r"^[ \t]*[-s]?include[ \t]+(.*)", re.MULTILINE)
_NAME = re.compile(r"[\w.+-]+")
_NO_MAKEFILES = (".h", ".d", ".cmd", ".conf")
"""Headers (`-include`, an option of the compiler), and what make itself has written."""
_COMPOSED = re.compile(r"\bCONFIG_\$[({]")
_NO_OPTION = re.compile("(?!)")


@dataclass(frozen=True)
class Folders:
    """Folders of a kernel tree.

    Attributes:
        alone: Those in which something may differ, but for what lies in folders in them.
        whole: Those in which something may differ at any depth.
    """

    alone: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()

    def __or__(self, other: Folders) -> Folders:
        return Folders(self.alone | other.alone, self.whole | other.whole)

    def have(self, folder: str) -> bool:
        """Whether a folder is in one of those that are meant at any depth, or is one."""
        return any(f"{folder}/".startswith(f"{whole}/") for whole in self.whole)


@dataclass(frozen=True, kw_only=True)
class Makefiles:
    """The Makefiles of a kernel tree.

    Attributes:
        tree: The source tree.
        paths: All files in it whose names begin with Makefile or Kbuild, as paths under it.
        srcarch: The architecture's folder: x86, arm64.
        entered: The folders that make has looked into with the options as they were.
    """

    tree: Path
    paths: Iterable[str]
    srcarch: str
    entered: Collection[str]

    def folders(self, options: Collection[str]) -> Folders | None:
        """Where make has to look when these options (without CONFIG_) have another value; None for everywhere."""
        ours = (path for path in self.paths if self._is_ours(path))
        texts = {path: content(f"{self.tree}/{path}").decode(errors="replace") for path in ours}
        of_folders = {path: text for path, text in texts.items() if not self._is_of_all(path)}
        if any(map(_says_too_little, of_folders.values())):
            return None
        named = re.compile(rf"\bCONFIG_(?:{'|'.join(map(re.escape, options))})\b") if options else _NO_OPTION
        naming = [path for path, text in texts.items() if named.search(text)]
        found = Folders()
        for path in naming:
            folders = _folders(path, texts[path], named) if path in of_folders else None
            if folders is None or _is_read_elsewhere(path, texts):
                return None
            found |= folders
        if any(not self._is_entered(posixpath.dirname(path), found) for path in naming):
            return None
        reading = (path for path, text in of_folders.items() if _READS_CONFIG.search(text))
        return found | Folders(alone=frozenset(map(posixpath.dirname, reading)))

    def _is_ours(self, path: str) -> bool:
        other_arch = path.startswith("arch/") and not path.startswith(f"arch/{self.srcarch}/")
        return not other_arch and not path.startswith((*_NOT_OURS, f"arch/{self.srcarch}/um/"))

    def _is_of_all(self, path: str) -> bool:
        """Whether a Makefile speaks of more than the objects of its folder, or make always reads it."""
        folder, name = posixpath.split(path)
        arch = f"arch/{self.srcarch}"
        return (
            folder in ("", arch)
            or name not in ("Makefile", "Kbuild")
            or path.startswith(("scripts/", "include/", "rust/", f"{arch}/boot/"))
        )

    def _is_entered(self, folder: str, found: Folders) -> bool:
        """Whether make looks into a folder, before or now; another one's Makefile may be part of one elsewhere."""
        return folder in self.entered or found.have(folder)


def _says_too_little(text: str) -> bool:
    """Whether a Makefile may name options that its text does not have: composed ones, or those in a file of another
    name that it includes."""
    included = (word.rpartition("/")[2] for line in _INCLUDE.findall(text) for word in line.split())
    return _COMPOSED.search(text) is not None or any(
        _NAME.fullmatch(name) and not name.startswith(("Makefile", "Kbuild")) and not name.endswith(_NO_MAKEFILES)
        for name in included
    )


def _folders(path: str, text: str, named: re.Pattern[str]) -> Folders | None:
    """Where what a Makefile makes of its options may differ, or None where that cannot be told."""
    folder = posixpath.dirname(path)
    whole: set[str] = set()
    for line in logical_lines(text):
        if not named.search(line):
            continue
        match = _LIST.fullmatch(line)
        words = match[2].split() if match else []
        if any(".." in word for word in words):
            return None
        into = [word for word in words if word.endswith("/")] if match and match[1] == "obj" else []
        objects = [word for word in words if word.endswith(".o")]
        if match and len(into) + len(objects) == len(words):
            whole.update(posixpath.normpath(f"{folder}/{word}") for word in into)
        else:
            whole.add(folder)
    return Folders(frozenset({folder}), frozenset(whole))


def _is_read_elsewhere(path: str, texts: Mapping[str, str]) -> bool:
    """Whether the Makefile of another folder, none that leads to this one, may include this Makefile."""
    folder, name = posixpath.split(path)
    ending = f"{posixpath.basename(folder)}/{name}"
    return any(
        line.rstrip().endswith(ending)
        for other, text in texts.items()
        if not f"{folder}/".startswith(f"{posixpath.dirname(other)}/")
        for line in _INCLUDE.findall(text)
    )
