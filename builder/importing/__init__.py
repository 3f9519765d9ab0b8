"""`rosk import` and `rosk init`: a project from a checkout of os-kernel, or from the default one."""
