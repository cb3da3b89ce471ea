"""What an answer makes up: names and things that its source does not hold, answers that nothing supports."""

from collections.abc import Sequence

from tasks.evaluation.intervals import Measure, ratio
from tasks.evaluation.language import STOP_WORDS, normalised, same_word, sentences, stem, tokens


def made_up_names(answer: str, source: str) -> list[str]:
    """The names of an answer that its source does not hold, each once.

    A name is a capitalised word inside a sentence, or at its start where the same word stands capitalised
    inside another sentence; "I" and words of a stop list are none. A possessive counts as its name.
    """
    held = {_bare(word).lower() for word in tokens(source)}
    return [name for name in _names(answer) if name.lower() not in held]


def made_up_words(answer: str, source: str) -> list[str]:
    """The content words of an answer of which the source holds neither the word nor a form of it, each once.

    Words are compared by Porter stem and by irregular forms (went, go); names are words too. Nothing is known
    of synonyms: a good paraphrase counts as made up, so read the rate beside that of the references.
    """
    held = {_bare(word).lower() for word in tokens(source)}
    stems = {stem(word) for word in held}
    missing = [word for word in _content(answer) if stem(word) not in stems]
    return [word for word in missing if not any(same_word(word, other) for other in held)]


def fabrication(answers: Sequence[str], sources: Sequence[str]) -> dict[str, Measure]:
    """Rates over answers and what each was told from; rows without a source are left to the caller.

    `made_up_names`: of all different names of the answers; `made_up_words`: of all different content words;
    `answers_with_made_up_names`: of all answers. NaN where there is nothing to count.
    """
    pairs = list(zip(answers, sources, strict=True))
    names = [len(made_up_names(answer, source)) for answer, source in pairs]
    words = [len(made_up_words(answer, source)) for answer, source in pairs]
    return {
        "made_up_names": ratio(names, [len(_names(answer)) for answer in answers]),
        "made_up_words": ratio(words, [len(_content(answer)) for answer in answers]),
        "answers_with_made_up_names": ratio([float(count > 0) for count in names], [1.0] * len(pairs)),
    }


def is_refusal(answer: str, refusals: Sequence[str]) -> bool:
    """Whether an answer is, or begins with, one of the fixed replies, but for case, marks and articles."""
    said = normalised(answer)
    return any(said == reply or said.startswith(f"{reply} ") for reply in map(normalised, refusals) if reply)


def refusal_figures(
    answers: Sequence[str], answerable: Sequence[bool], *, refusals: Sequence[str]
) -> dict[str, Measure]:
    """`answered_unanswerable`: of the questions that the document does not answer, those answered all the same;
    `refused_answerable`: of those that it does answer, those refused. NaN where there are none of a kind.

    refusals: the fixed replies (the references of unanswerable rows). An empty answer is neither.
    """
    refused = [is_refusal(answer, refusals) for answer in answers]
    rows = list(zip(answers, refused, answerable, strict=True))
    return {
        "answered_unanswerable": ratio(
            [float(bool(answer.strip()) and not no and not known) for answer, no, known in rows],
            [float(not known) for known in answerable],
        ),
        "refused_answerable": ratio(
            [float(no and known) for _, no, known in rows], [float(known) for known in answerable]
        ),
    }


def _names(text: str) -> list[str]:
    inside: list[str] = []
    first: list[str] = []
    for sentence in sentences(text):
        words = tokens(sentence)
        opening = next((at for at, word in enumerate(words) if word[0].isalpha()), 0)
        for at, word in enumerate(words):
            if word[0].isupper() and _bare(word).lower() not in STOP_WORDS:
                starts = at == opening or words[at - 1] in '"“”‘:'
                (first if starts else inside).append(_bare(word))
    return list(dict.fromkeys([*inside, *(word for word in first if word in inside)]))


def _content(text: str) -> list[str]:
    words = (_bare(word).lower() for word in tokens(text) if word[0].isalpha())
    return [word for word in dict.fromkeys(words) if word not in STOP_WORDS and word.replace("'", "") not in STOP_WORDS]


def _bare(word: str) -> str:
    """A word without a possessive ending and with plain apostrophes."""
    plain = word.replace("’", "'")
    return plain.removesuffix("'s")
