from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.inputs.store import write_atomically
from builder.patches.importing import New, file_name, from_git, from_mailbox, named, write_patches
from builder.patches.series import PatchFile, read_series

DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+{}\n"
SUBJECTS = [
    "net: fix it",
    '  [tag] drop "foo" & (bar).',
    "a..b...c.",
    "x86/mm/pat: a subject that is longer than sixty-four characters, which git cuts off somewhere",
    "für ümlaute",
    "_under-score--twice",
    "12 / 34",
]


def git(tree: Path, *words: str) -> str:
    argv = ["git", "-C", str(tree), "-c", "user.name=A", "-c", "user.email=a@example.org", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "linux"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number, subject in enumerate(["start", *SUBJECTS]):
        (folder / "x").write_bytes(b"\xff %d\n" % number)
        git(folder, "add", "x")
        git(folder, "commit", "-qm", subject)
    return folder


def new(word: str, subject: str = "a subject") -> New:
    return New(subject=subject, content=DIFF.format(word).encode(), source="mbox")


def there(folder: Path, *names: str) -> list[PatchFile]:
    for name in names:
        (folder / name).write_text(DIFF.format(name))
    return read_series(folder)


@pytest.mark.host_programs
def test_commits_become_what_git_makes_of_them(tree: Path, tmp_path: Path) -> None:
    git(tree, "format-patch", "-q", "-o", str(tmp_path / "git"), "HEAD~7")
    wanted = {path.name: path.read_bytes() for path in (tmp_path / "git").iterdir()}
    found = named(from_git(tree, "HEAD~7..main"), [])
    numbered = {
        name: new.content.replace(b"[PATCH]", b"[PATCH %d/7]" % at) for at, (name, new) in enumerate(found.items(), 1)
    }
    assert numbered == wanted


@pytest.mark.host_programs
def test_names_are_those_of_git(tree: Path, tmp_path: Path) -> None:
    git(tree, "format-patch", "-q", "-o", str(tmp_path / "git"), "HEAD~7")
    wanted = sorted(path.name for path in (tmp_path / "git").iterdir())
    assert [file_name(at, subject) for at, subject in enumerate(SUBJECTS, 1)] == wanted


@pytest.mark.host_programs
def test_a_mailbox_of_git_gives_the_same_patches(tree: Path, tmp_path: Path) -> None:
    box = tmp_path / "a.mbox"
    box.write_bytes(
        subprocess.run(
            ["git", "-C", tree, "format-patch", "--stdout", "HEAD~3"], check=True, capture_output=True
        ).stdout
    )
    mailed, passed = from_mailbox(box)
    own = from_git(tree, "HEAD~3")
    assert passed == []
    assert [patch.content.partition(b"\n---\n")[2].rstrip() for patch in mailed] == [
        patch.content.partition(b"\n---\n")[2].rstrip() for patch in own
    ]
    assert [patch.content[:46] for patch in mailed] == [patch.content[:46] for patch in own]


@pytest.mark.host_programs
@pytest.mark.parametrize(
    ("commits", "what"),
    [
        ("--output=/tmp/x", "no range"),
        ("main..main", "there are no commits in main..main"),
        ("nowhere..main", "linux: git says: .*nowhere"),
    ],
)
def test_what_is_no_range_is_refused(tree: Path, commits: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        from_git(tree, commits)
    assert "format-patch" not in str(caught.value)


@pytest.mark.host_programs
@pytest.mark.parametrize(("name", "what"), [("", "not a git repository"), ("absent", "No such file")])
def test_what_is_no_git_tree_is_refused(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path / name}: git says: .*{what}"):
        from_git(tmp_path / name, "main~1..main")


def test_numbers_follow_those_that_are_there(tmp_path: Path) -> None:
    patches = there(tmp_path, "0001-a.patch", "0007-b.patch")
    assert list(named([new("x"), new("y")], patches)) == ["0008-a-subject.patch", "0009-a-subject.patch"]
    assert list(named([new("x")], [])) == ["0001-a-subject.patch"]


def test_numbers_keep_their_width(tmp_path: Path) -> None:
    assert list(named([new("x")], there(tmp_path, "01-a.patch", "02_b.patch"))) == ["03-a-subject.patch"]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["elide-post-dash.patch"], "z-0001-a-subject.patch"),
        (["0007-a.patch", "elide-post-dash.patch"], "z-0001-a-subject.patch"),
        (["elide-post-dash.patch", "z-0001-b.patch"], "z-0002-a-subject.patch"),
        (["3fix.patch"], "z-0001-a-subject.patch"),
        (["zfs.patch"], "zz-0001-a-subject.patch"),
    ],
)
def test_a_new_patch_follows_names_without_numbers(tmp_path: Path, names: list[str], wanted: str) -> None:
    (name,) = named([new("x")], there(tmp_path, *names))
    assert name == wanted and name > max(names)


def test_a_long_subject_leaves_room_for_what_is_before_the_number(tmp_path: Path) -> None:
    (name,) = named([new("x", subject="long " * 30)], there(tmp_path, "fix.patch"))
    assert name.startswith("z-0001-long-") and len(name) == 63


def test_what_is_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'a subject' is given twice, first by mbox"):
        named([new("x"), new("y"), new("x")], [])


@pytest.mark.parametrize("names", [["99-a.patch"], ["z-99-a.patch"], ["~.patch"]])
def test_a_name_that_would_not_come_last_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(InputError, match="comes before"):
        named([new("x")], there(tmp_path, *names))


def test_what_is_there_already_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there already as 0001-a\.patch"):
        named([new("y"), new("0001-a.patch")], there(tmp_path, "0001-a.patch"))


@pytest.mark.parametrize(
    "content", [b"words\n", b"--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n", b"X-Rosk-Kernel: new\n--- a/x\n"]
)
def test_what_is_no_patch_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        named([New(subject="s", content=content, source="mbox")], [])


def test_a_name_cannot_leave_the_folder() -> None:
    assert file_name(1, "../../etc/passwd") == "0001-.-.-etc-passwd.patch"


def test_all_patches_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there(tmp_path, "0001-a.patch")

    def full(file: Path, data: bytes) -> None:
        if file.name.startswith("0003"):
            raise PermissionError(13, "Permission denied", str(file))
        write_atomically(file, data)

    monkeypatch.setattr("builder.patches.importing.write_atomically", full)
    with pytest.raises(InputError, match="Permission denied"):
        write_patches(tmp_path, {"0002-b.patch": new("b"), "0003-c.patch": new("c")})
    assert [path.name for path in tmp_path.iterdir()] == ["0001-a.patch"]
