"""The instruction mixture: sources of tasks, templates, splits, leaks, token files, expectations."""
