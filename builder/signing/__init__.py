"""Signing of modules: the key as an input of a build."""
