"""Which headers of a kernel tree could be included in each other's place.

A compiler cache that only looks at the files which an earlier compile has included is right while this is the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from builder.stages import journal as sources
from builder.stages.journal import Journal

HEADERS = (".h", ".inc", ".def", ".lds")
TOOLS = tuple(
    f"tools/{name}/" for name in ("arch", "bpf/resolve_btfids", "build", "include", "lib", "objtool", "scripts")
)
"""The folders of tools/ that the build of a kernel works with."""
PROGRAMS = ("scripts/", *TOOLS)
"""Where host programs are. Their headers may take the place of the system's, of which the lists of host programs'
dependencies do not tell."""
_NOT_COMPILED = ("Documentation/", "samples/", "tools/", "arch/")
"""But for the tools above and one architecture."""
_NAMED = re.compile(r"[\w.+-]+\.h\b")


def named_headers(makefile: str) -> set[str]:
    """The names of headers in the text of a Makefile: it may make them, and they are found after the sources' own."""
    return set(_NAMED.findall(makefile))


def shadows(tree: Path, journal: Journal, srcarch: str, named: Collection[str] = ()) -> str:
    """A checksum over the paths of all headers whose name is not the only one of its kind.

    Also over those whose name the Makefiles have, those of host programs, those in folders that are searched before the
    ones with generated headers, those that a file asks for, over the lists of headers to generate, and over sources of
    a name that is included from another folder.

    Args:
        named: What `named_headers` finds in the Makefiles.
    """
    include = f"arch/{srcarch}/include/"
    before_generated = (include, "include/asm/", "include/uapi/asm/", "include/linux/version.h")
    always = (*before_generated, *PROGRAMS)
    paths: dict[str, list[str]] = {}
    for path in journal:
        if path.endswith(HEADERS):
            paths.setdefault(path.rpartition("/")[2], []).append(path)
    known = set(named)
    found = sorted(
        path
        for name, group in paths.items()
        for path in group
        if len(group) > 1 or name in known or path.startswith(always)
    )
    found += sources.asked_for(tree, journal, journal)
    ours = (*TOOLS, f"arch/{srcarch}/")
    taking = (path for path, entry in journal.items() if entry.takes)
    taking = (path for path in taking if path.startswith(ours) or not path.startswith(_NOT_COMPILED))
    found += sources.sources_from_elsewhere(tree, journal, taking)
    lists = (path for path in journal if path.startswith((include, "include/")) and path.endswith("/Kbuild"))
    found += [f"{path} {journal[path].digest}" for path in lists]
    return hashlib.sha256(os.fsencode("\n".join(found))).hexdigest()
