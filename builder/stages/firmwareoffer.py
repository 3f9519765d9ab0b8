"""Tells what a firmware source offers, as `rosk firmware` wants to know it: names, links and licences, no content.

Output: a JSON file with `revision`, `files`, `firmware` (those of `files` that patterns may name), `links` and
`licences` (see `builder.stages.firmwaretree`); `{}` for no firmware source.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.stages.common import stage_main, write_json
from builder.stages.firmware import open_source, source_parser
from builder.stages.firmwaretree import FirmwareTree
from builder.stages.licence import licences_json


def describe(source: FirmwareTree, revision: str) -> dict[str, Any]:
    """The JSON of what a source offers."""
    return {
        "revision": revision,
        "files": sorted(source.files),
        "firmware": sorted(source.firmware),
        "links": source.links,
        "licences": licences_json(source.licences),
    }


def main() -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, required=True)
    options = source_parser(__doc__, common).parse_args()
    with TemporaryDirectory() as temp:
        found = open_source(options, Path(temp))
        write_json(options.out, describe(*found) if found else {})


if __name__ == "__main__":
    stage_main(main)
