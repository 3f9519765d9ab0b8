"""What a git checkout says of itself, read from its files: no git runs, so no setting of the checkout can run anything.

The files are those of gitrepository-layout(5).
"""

from __future__ import annotations

import re
from pathlib import Path

_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def tags_at_head(root: Path) -> list[str]:
    """The tags of the commit that is checked out, in the order of their names; none where there is no repository.

    Annotated tags count where git has packed its refs, as it has in a fresh clone.
    """
    try:
        git = _git_folder(root)
        common = _common_folder(git)
        packed = _packed(common)
        head = _resolve((git / "HEAD").read_text().strip(), git, common, packed)
        loose = {
            path.relative_to(common).as_posix(): path.read_text().strip()
            for path in (common / "refs/tags").rglob("*")
            if path.is_file()
        }
    except (OSError, ValueError):
        return []
    prefix = "refs/tags/"
    refs = {**packed, **loose}
    return sorted(name.removeprefix(prefix) for name, at in refs.items() if name.startswith(prefix) and at == head)


def branch_at_head(root: Path) -> str | None:
    """The branch that is checked out; None where there is no repository, or no branch is."""
    try:
        head = (_git_folder(root) / "HEAD").read_text().strip()
    except (OSError, ValueError):
        return None
    prefix = "ref: refs/heads/"
    return head.removeprefix(prefix) if head.startswith(prefix) else None


def _git_folder(root: Path) -> Path:
    """`.git` itself, or the folder that it names in a linked work tree."""
    git = root / ".git"
    return root / git.read_text().removeprefix("gitdir:").strip() if git.is_file() else git


def _common_folder(git: Path) -> Path:
    """Where the refs of all work trees are."""
    name = git / "commondir"
    return git / name.read_text().strip() if name.is_file() else git


def _packed(common: Path) -> dict[str, str]:
    """The packed refs, name to commit: a line `^COMMIT` says what the annotated tag before it is of."""
    refs: dict[str, str] = {}
    name = ""
    path = common / "packed-refs"
    for line in path.read_text().splitlines() if path.is_file() else ():
        if line.startswith("^"):
            refs[name] = line[1:]
        elif not line.startswith("#"):
            commit, _, name = line.partition(" ")
            refs[name] = commit
    return refs


def _resolve(text: str, git: Path, common: Path, packed: dict[str, str]) -> str | None:
    """The commit that the content of a ref stands for."""
    if _OBJECT.fullmatch(text):
        return text
    name = text.removeprefix("ref:").strip()
    if not name.startswith("refs/") or ".." in name.split("/"):
        return None
    for folder in (git, common):
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    return packed.get(name)
