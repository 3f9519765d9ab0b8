"""`rosk config`: a project's kernel config, edited, checked, compared and moved to other kernels without a compile."""
