"""What is around the kernel in an OS: its services repository, and the repository that it is built from."""
