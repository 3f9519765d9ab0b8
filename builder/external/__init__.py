"""External modules: sources of their own, built against the kernel's headers as stages of the same graph."""
