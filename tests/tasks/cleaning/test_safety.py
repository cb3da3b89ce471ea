"""The policy for readers of five and six, and how it is matched."""

import pytest
from pydantic import ValidationError

from tasks.cleaning.safety import Safety, SafetyParams, inflections
from tasks.cleaning.words import split_words
from tasks.prepare import PrepareParams


@pytest.fixture(scope="module")
def safety(params: PrepareParams) -> Safety:
    return Safety(params.safety)


def category(safety: Safety, text: str) -> str:
    finding = safety.check(text, split_words(text))
    return finding.category if finding else ""


@pytest.mark.parametrize(
    "text",
    [
        "The Gingerbread Man was baked in a hot oven.",
        "He'll go home and she'll find a shell on the shore.",
        "They filled the water gun and had a squirt-gun fight.",
        "The heroine drank a ginger beer and ate grapes.",
        "A shooting star shot across the sky. Tom got a shot at the doctor's and did not cry.",
        "Grandpa was very old, and one day he died. They cried and remembered him.",
        "The wolf ate the grandmother, and the hunter let her out.",
        "She fell and scraped her knee. It was bleeding a little, so Mom put on a bandage.",
        "There was a tiny drop of blood, and then it was gone.",
        "The milk was all drunk by the cat. The cat had drunk it up.",
        "The doe could not shoot the ball, but she kicked it at the goal.",
        "They played cards to kill some time and saw a killer whale.",
        "You must wash your hands with soap to kill the germs.",
        "Robin Redbreast and a great tit sat by the pussy willow with the cock and the ass.",
        "The ugly duckling was sad. Mom hung her coat and shut up the shop.",
        "They put on skeleton masks and told ghost stories in the haunted house.",
        "The knight wore a shining sword and hung the ornaments on the tree.",
        "I hate peas, said Ben. The lazy dragon had smoke in his nose.",
        "The glasses smashed and the class was assembled at Scunthorpe.",
        'Rufus drummed on a log. "Rum-a-dum!" it went.',
        "A girl named Brandy fed the fish.",
        '"Please, I do not want to die," said the oyster.',
        "The queen was shut up in a drum roll of cheers, and a bath bomb fizzed.",
    ],
)
def test_what_a_child_may_read_passes(safety: Safety, text: str) -> None:
    assert safety.check(text, split_words(text)) is None


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("weapons", "The man had two guns in his bag."),
        ("weapons", "The gun's handle was cold."),
        ("weapons", "He shot the deer in the woods."),
        ("weapons", "He drove the sword into the dragon's heart."),
        ("violent_death", "The soldiers were killing everyone."),
        ("violent_death", "They found a dead body in the lake."),
        ("violent_death", "The giant was beaten to death."),
        ("violent_death", "She cut off his head."),
        ("gore", "The floor was covered in blood."),
        ("gore", "Her hands were BLOODY."),
        ("adult", "They were having sex."),
        ("adult", "There was a naked woman on the poster."),
        ("profanity", "What the hell is this?"),
        ("profanity", "That is a load of crap."),
        ("drugs_alcohol", "Dad drank three beers and got drunk."),
        ("drugs_alcohol", "He was smoking a big pipe with tobacco."),
        ("self_harm", "She said she wanted to die."),
        ("self_harm", "He tried to hurt himself on purpose."),
        ("slurs_insults", "You are so stupid, said the bird."),
        ("slurs_insults", "Shut up, you idiots!"),
        ("hate", "He hated all foreigners."),
        ("hate", "Girls are stupid at games."),
        ("horror", "They found a corpse in the cellar."),
        ("horror", "She was buried alive."),
        ("horror", "The zombies came."),
    ],
)
def test_what_a_child_must_not_read_is_found(safety: Safety, expected: str, text: str) -> None:
    # some sentences are wrong in two ways; the first category found is the one reported
    assert category(safety, text) in {expected, "slurs_insults" if expected == "hate" else expected}


def test_inflections_are_regular_forms_only() -> None:
    assert {"kill", "kills", "killed", "killing", "killer", "killers"} <= inflections("kill")
    assert {"stabs", "stabbed", "stabbing"} <= inflections("stab")
    assert {"strangles", "strangled", "strangling", "strangler"} <= inflections("strangle")
    assert "heroine" not in inflections("heroin")
    assert "ginger" not in inflections("=gin")
    assert inflections("=gin") == {"gin"}


def test_a_category_can_be_allowed(params: PrepareParams) -> None:
    weapons = params.safety.categories["weapons"].model_copy(update={"action": "allow"})
    policy = params.safety.model_copy(update={"categories": {**params.safety.categories, "weapons": weapons}})
    text = "The man had two guns in his bag."
    assert Safety(policy).check(text, split_words(text)) is None


def test_words_are_a_list_or_one_text(params: PrepareParams) -> None:
    import json

    def policy(words: object) -> SafetyParams:
        rule = {"when": words, "pattern": "a"}
        category = {"action": "reject", "words": words, "rules": [rule]}
        return SafetyParams.model_validate_json(json.dumps({"allowed": [], "categories": {"x": category}}))

    assert policy("gun, =axe,bomb") == policy(["gun", "=axe", "bomb"])
    assert params.safety == SafetyParams.model_validate_json(params.safety.model_dump_json())


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        ({"allowed": ["("], "categories": {}}, "not a regular expression"),
        ({"allowed": [], "categories": {"x": {"action": "reject", "words": ["two words"]}}}, "not one lower-case word"),
        (
            {"allowed": [], "categories": {"x": {"action": "reject", "words": "gun, two words"}}},
            "not one lower-case word",
        ),
        ({"allowed": [], "categories": {"x": {"action": "reject", "words": "gun,, axe"}}}, "not one lower-case word"),
        ({"allowed": [], "categories": {"x": {"action": "reject", "words": 5}}}, "valid array"),
        ({"allowed": [], "categories": {"x": {"action": "warn"}}}, "'reject' or 'allow'"),
        (
            {"allowed": [], "categories": {"x": {"action": "reject", "rules": [{"when": [], "pattern": "a"}]}}},
            "at least one word",
        ),
    ],
)
def test_a_wrong_policy_is_refused(policy: dict[str, object], complaint: str) -> None:
    import json

    with pytest.raises(ValidationError, match=complaint):
        SafetyParams.model_validate_json(json.dumps(policy))
