"""The command line. It reads options and calls; what happens is elsewhere. A module here for each group of commands."""

from builder.cli import (
    boot,
    build,
    cache,
    config,
    diff,
    headers,
    lists,
    patches,
    project,
    proof,
    report,
    verify,
    versions,
)
from builder.cli.app import app

__all__ = [
    "app",
    "boot",
    "build",
    "cache",
    "config",
    "diff",
    "headers",
    "lists",
    "patches",
    "project",
    "proof",
    "report",
    "verify",
    "versions",
]
