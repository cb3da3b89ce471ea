"""Patterns in YAML beside this module: what no child's story may hold, and what speaks to a judge."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

DANGERS, INJECTION = "dangers.yaml", "injection.yaml"
_MOST_HITS = 20  # that are looked at in an answer


def danger(text: str) -> str | None:
    """The first danger found, as "name (the words)"; None where there is none."""
    for name, pattern in _patterns(DANGERS).items():
        if match := pattern.search(text):
            return f"{name} ({' '.join(match[0].lower().split())})"
    return None


def addressed_to_the_judge(answer: str, *, prompt: str) -> str | None:
    """The first words of an answer that speak to its judge or of its own grade; None where there are none.

    What the prompt says too is no offence: a request may be about scores.
    """
    asked = prompt.lower()
    for pattern in _patterns(INJECTION).values():
        for _, match in zip(range(_MOST_HITS), pattern.finditer(answer), strict=False):
            if match[0].lower().strip() not in asked:
                return " ".join(match[0].split())
    return None


@cache
def rules_hash() -> str:
    """First 8 hex digits of the SHA-256 of the rules: other rules are another judge."""
    return hashlib.sha256(b"".join(_read(name).encode() for name in (DANGERS, INJECTION))).hexdigest()[:8]


@cache
def _patterns(name: str) -> Mapping[str, re.Pattern[str]]:
    document = yaml.safe_load(_read(name))
    return {
        kind: re.compile("|".join(f"(?:{_filled(rule, document['parts'])})" for rule in rules), re.IGNORECASE)
        for kind, rules in document["rules"].items()
    }


def _filled(rule: str, parts: Mapping[str, str]) -> str:
    for name, pattern in parts.items():
        rule = rule.replace(f"<{name}>", pattern)
    return rule


def _read(name: str) -> str:
    return resources.files("tasks.judging.heuristic").joinpath(name).read_text(encoding="utf-8")
