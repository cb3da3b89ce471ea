"""`fledgling keep-verdicts`."""

from tasks.judging import verdicts


def keep_verdicts() -> str:
    """Makes files of the judges' new replies; says which, and what to do with them. Raises UserError for none."""
    written = verdicts.keep()
    told = [f"{path}: {count} replies kept" for path, count in written.items()]
    return "\n".join([*told, f"now: git add {verdicts.VERDICTS}, and the next run asks no server for them"])
