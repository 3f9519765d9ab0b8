"""`rosk headers test`: builds an external module against a release's headers in consoles without a kernel source."""
