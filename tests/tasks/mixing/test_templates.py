"""Templates: names between braces and nothing else of Python's format language."""

import pytest

from tasks.mixing.templates import choose, columns_of, fill


def test_columns_and_filling() -> None:
    assert columns_of("{a} and {b}, {a} {{c}}") == ("a", "b")
    assert fill("{a} {{c}}\n{b}", {"a": "{b}", "b": ""}) == "{b} {c}"


@pytest.mark.parametrize("template", ["{a.b}", "{a[0]}", "{a!r}", "{a:5}", "{}", "{0}", "{a", "a}"])
def test_anything_more_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        columns_of(template)


def test_the_choice_goes_by_the_key_and_what_is_there() -> None:
    templates = ["{a}", "{b}", "{a} {c}"]
    values = {"a": "x", "b": "", "c": "y"}
    chosen = {choose(templates, values, key=str(n)) for n in range(50)}
    assert chosen == {"{a}", "{a} {c}"}
    assert choose(templates, values, key="k") == choose(templates, values, key="k")
    assert choose(["{a} {b}"], values, key="k") == "{a} {b}"
    assert choose(["{b}"], values, key="k") is None
