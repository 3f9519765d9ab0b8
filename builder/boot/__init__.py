"""`rosk boot`: starts the kernel of a release in qemu, and says what it did there and why it did not."""
