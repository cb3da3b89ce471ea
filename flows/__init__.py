"""Prefect: when and where the chain runs. DVC says what is stale; the work is in tasks/."""

from flows import one_line

one_line.install()  # whichever flow it is, and whoever runs it
