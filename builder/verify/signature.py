"""The check of who vouches for a release."""

from __future__ import annotations

from builder.errors import VerifyError
from builder.trust.check import ProgramMissing, check_signature
from builder.verify.model import Finding, MissingProgram, check, skipped, verdict
from builder.verify.subject import Subject


@check("signature", meaning="nobody whom you trust has signed it: anybody can have made it, or changed it")
def signature(subject: Subject) -> Finding:
    """A trusted key has signed SHA256SUMS; the check `checksums` compares the files with that."""
    if not subject.keys:
        return skipped("no key was given whose signature counts (--key, or trust.keys in the settings)")
    try:
        return verdict(check_signature(subject.release.root, subject.keys))
    except ProgramMissing as error:
        raise MissingProgram(error.program) from error
    except VerifyError as error:
        return verdict(error.what, error.details or ["there is no signature"])
