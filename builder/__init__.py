"""rosk builds, proves and publishes custom Linux kernels for container operating systems."""

__version__ = "0.1.0"
