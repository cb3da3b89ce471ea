"""What is read of a row of the mixture."""

import json
from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]  # a row of the mixture


def source_text(row: Row) -> str:
    """The text that is asked about, else the whole request."""
    return str(row.get("document") or "") or request(row)


def request(row: Row) -> str:
    """What the user says before the answer, all turns of it."""
    held = row["messages"]
    messages = json.loads(held) if isinstance(held, str) else held
    return "\n".join(str(message["content"]) for message in messages[:-1] if message["role"] == "user")


def question(row: Row) -> str:
    """The request without the document that it quotes."""
    document = str(row.get("document") or "")
    asked = request(row)
    return (asked.replace(document, " ") if document else asked).strip() or asked
