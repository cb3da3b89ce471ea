"""The same said in other words: what keeps two stories of one plot from having their sentences in common."""

import random
import re
from functools import cache

from tasks.storybook.generator.words import FOLDER, read_yaml

SPLIT_SHARE = 0.35  # how often ", and he ..." becomes a sentence of its own
SWAP_SHARE = 0.4  # how often "... said Mia" becomes "... Mia said"
_SAID = re.compile(r'" (said|asked|cried|called|whispered|shouted|thought) (?!Mrs?\b|Miss\b)([A-Z][a-z]+)(?=[.,])')
_AND_CLAUSE = re.compile(r", and (he|she|they) (?=[a-z])")


@cache
def _equivalents() -> tuple[re.Pattern[str], dict[str, tuple[str, ...]]]:
    groups: list[list[str]] = read_yaml(FOLDER / "wording.yaml")
    wordings = {group[0]: tuple(group) for group in groups}
    both_cases = {form for wording in wordings for form in (wording, wording[0].upper() + wording[1:])}
    longest_first = sorted(both_cases, key=lambda form: (-len(form), form))
    return re.compile(rf"\b(?:{'|'.join(longest_first)})\b(?!')"), wordings


def reword(text: str, rng: random.Random) -> str:
    """The text with some of its wordings changed for others that mean the same."""
    pattern, wordings = _equivalents()

    def other(match: re.Match[str]) -> str:
        found = match.group()
        options = wordings.get(found) or wordings[found[0].lower() + found[1:]]
        chosen = options[int(rng.random() * len(options))]
        return chosen[0].upper() + chosen[1:] if found[0].isupper() else chosen

    def split(match: re.Match[str]) -> str:
        return f". {match.group(1).capitalize()} " if rng.random() < SPLIT_SHARE else match.group()

    def swap(match: re.Match[str]) -> str:
        return f'" {match.group(2)} {match.group(1)}' if rng.random() < SWAP_SHARE else match.group()

    text = _SAID.sub(swap, text)
    return _AND_CLAUSE.sub(split, pattern.sub(other, text))
