"""The command line. It reads options and calls; what happens is elsewhere. A module here for each group of commands."""

from builder.cli import (
    boot,
    build,
    cache,
    diff,
    firmware,
    headers,
    lists,
    osrepo,
    patches,
    project,
    proof,
    publish,
    release,
    report,
    sign,
    verify,
    versions,
)
from builder.cli.app import app

__all__ = [
    "app",
    "boot",
    "build",
    "cache",
    "diff",
    "firmware",
    "headers",
    "lists",
    "osrepo",
    "patches",
    "project",
    "proof",
    "publish",
    "release",
    "report",
    "sign",
    "verify",
    "versions",
]
