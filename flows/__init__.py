"""Prefect: when and where the chain runs. DVC says what is stale; the work is in tasks/."""
