"""Measures rosk beside plain make, TuxMake and os-kernel's scripts; see README.md of this folder."""
