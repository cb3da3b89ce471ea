"""Unicode, mojibake, white space."""

import pytest

from tasks.cleaning.text import REPLACEMENT, is_broken, repair, tidy

CURLY = "“Don’t cry,” said the café owner. “It’s only a crumb!”"
STRAIGHT = '"Don\'t cry," said the café owner. "It\'s only a crumb!"'


def mangled(text: str, times: int) -> str:
    for _ in range(times):
        # as a browser reads it: the five bytes that cp1252 doesn't know become control characters
        text = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in text.encode())
    return text


@pytest.mark.parametrize("times", [1, 2])
def test_wrongly_decoded_text_is_restored(times: int) -> None:
    assert is_broken(mangled(CURLY, times))
    assert repair(mangled(CURLY, times), straight_quotes=True) == (STRAIGHT, True)


def test_good_text_is_not_called_broken() -> None:
    assert repair(CURLY, straight_quotes=True) == (STRAIGHT, False)
    assert repair(CURLY, straight_quotes=False) == (CURLY, False)


def test_letters_are_composed_and_control_characters_go() -> None:
    assert repair("Zoe\u0308 sang.\u200b\x07", straight_quotes=True) == ("Zoë sang.", False)
    assert repair("plain\x00 text", straight_quotes=True) == ("plain text", False)


def test_a_replacement_character_stays_to_be_seen() -> None:
    assert REPLACEMENT in repair(f"Lily{REPLACEMENT}s mom", straight_quotes=True)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One  day,\t a cat \n sat.", "One day, a cat\nsat."),
        ("First.\n\nSecond.\n\n\n\nThird.", "First.\n\nSecond.\n\nThird."),
        ("a\u00a0b\u2003c", "a b c"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("  \n tidy already?\n", "tidy already?"),
        ("", ""),
    ],
)
def test_white_space_is_made_uniform_and_paragraphs_stay(text: str, expected: str) -> None:
    assert tidy(text) == expected
    assert tidy(expected) == expected
