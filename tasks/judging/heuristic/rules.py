"""Patterns in YAML beside this module: what no child's story may hold."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

DANGERS = "dangers.yaml"
GRAMMAR = "tasks.judging.heuristic.english"


def danger(text: str) -> str | None:
    """The first danger found, as "name (the words)"; None where there is none."""
    for name, pattern in _patterns().items():
        if match := pattern.search(text):
            return f"{name} ({' '.join(match[0].lower().split())})"
    return None


@cache
def rules_hash() -> str:
    """First 8 hex digits of the SHA-256 of the rules: other rules are another judge."""
    held = [_read("tasks.judging.heuristic", DANGERS), _read("tasks.judging", "injection.py")]
    package = resources.files(GRAMMAR)
    held += [_read(GRAMMAR, name) for name in sorted(one.name for one in package.iterdir()) if name.endswith(".py")]
    return hashlib.sha256("".join(held).encode()).hexdigest()[:8]


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    document = yaml.safe_load(_read("tasks.judging.heuristic", DANGERS))
    return {
        kind: re.compile("|".join(f"(?:{_filled(rule, document['parts'])})" for rule in rules), re.IGNORECASE)
        for kind, rules in document["rules"].items()
    }


def _filled(rule: str, parts: Mapping[str, str]) -> str:
    for name, pattern in parts.items():
        rule = rule.replace(f"<{name}>", pattern)
    return rule


def _read(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
