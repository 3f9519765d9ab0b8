"""A member of a tar archive that nobody has to believe: what `tarfile` takes from a header without a limit has one."""

from __future__ import annotations

import tarfile
from typing import Self

_EXTENDED = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_MOST_EXTENDED = 1 << 16  # bytes; it is read into memory
PATH_MAX = 4096  # limits.h of Linux
_DEEPEST = 64  # folders; each may come to an entry of its own in memory. Linux' source has eleven


class TarMember(tarfile.TarInfo):
    """For `tarfile.open(…, tarinfo=TarMember)`; an archive with a member that no release has is damaged.

    Raises, while members are read:
        tarfile.ReadError: Its size is negative, which reads without end; its name or that of its link is longer than
            Linux takes, or very deep; its extended headers are large, or follow one another without end.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            member = super().fromtarfile(archive)
        except RecursionError:
            raise tarfile.ReadError("extended headers follow one another without end") from None
        _check_size(member)  # an extended header may have changed it
        for name in (member.name, member.linkname):
            if len(name) > PATH_MAX or name.count("/") > _DEEPEST:
                raise tarfile.ReadError(f"a name that is too long: {name[:100]}…")
        return member

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        """What `tarfile` has for subclasses: called with each header, before anything of what follows it is read."""
        _check_size(self)
        if self.type in _EXTENDED and self.size > _MOST_EXTENDED:
            raise tarfile.ReadError(f"an extended header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]  # typeshed does not have it


def _check_size(member: tarfile.TarInfo) -> None:
    if member.size < 0:
        raise tarfile.ReadError(f"a member of {member.size} bytes")
