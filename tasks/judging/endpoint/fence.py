"""Text of others inside a prompt: stripped of what a model may take for its own marks, cut, fenced."""

import hashlib
import re

from tasks.judging.injection import visible

# each model family's marks of a turn, in the forms that chat templates use
_SPECIAL = re.compile(
    r"<[|｜][^<>|｜\n]{0,60}[|｜]>|<\|?(?:im_start|im_end|endoftext)\|?>"  # ChatML, Llama 3, Phi, DeepSeek
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"  # Llama 2, Mistral
    r"|</?(?:start_of_turn|end_of_turn|bos|eos|pad|unk|s|think|tool_call|tool_response)>"  # Gemma, T5, Qwen
    r"|<{2,}[^<>\n]{0,80}>{2,}",  # the fence of this module
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*{1,2})?(?:system|assistant|user|human|developer|tool|instruction|response)"
    r"(?:[ \t]*(?:prompt|message))?\*{0,2}[ \t]*:\*{0,2}",
    re.IGNORECASE | re.MULTILINE,
)
_VERDICT = re.compile(
    r"\[\[[^\[\]\n]{0,20}\]\]"
    r"|\{[^{}\n]{0,80}[\"'](?:level|score|rating|grade|better|winner|verdict|ranking|preferred)[\"']\s{0,3}:"
    r"[^{}]{0,200}\}?"
    r"|^[ \t*#>_]{0,4}(?:(?:final|overall|total|my) )?(?:verdict|score|rating|grade|level|winner)[ *_]{0,3}[:=] {0,2}"
    r"[\"'\[(*]{0,3}(?:\d{1,3}(?: ?/ ?\d{1,3})?|[A-D]|first|second|tie|five)[\"'\])*]{0,3}[ \t.]{0,3}$",
    re.IGNORECASE | re.MULTILINE,
)
REMOVED = "[removed]"


def fenced(name: str, text: str, *, marker: str, characters: int, is_answer: bool) -> str:
    """The text between two lines that hold the marker. Longer than `characters`, it is cut and a note says so.

    The note stands outside of the fence, where nothing but our own words can stand.
    """
    shown = stripped(text, is_answer=is_answer)
    note = ""
    if len(shown) > characters:
        note = f"\n(Cut here: {name} has {len(shown):,} characters, of which the first {characters:,} are shown.)"
        shown = shown[:characters]
    if not shown.strip():
        note = f"\n({name} is empty.)"
    return f"<<<{name} {marker}>>>\n{shown}\n<<<END {name} {marker}>>>{note}"


def marker(*texts: str) -> str:
    """Sixteen hex digits that no text can hold on purpose: they are the hash of all of them, as shown.

    The same texts have the same marker, so that a prompt's hash, and the reply kept under it, stay.
    """
    salt = 0
    while True:
        found = hashlib.sha256("\0".join((str(salt), *texts)).encode("utf-8", "replace")).hexdigest()[:16]
        if not any(found in text for text in texts):
            return found
        salt += 1


def stripped(text: str, *, is_answer: bool) -> str:
    """The text without special tokens and hidden characters; an answer also without verdict marks and role headers."""
    shown = visible(text)
    patterns = (_SPECIAL, _VERDICT, _HEADER) if is_answer else (_SPECIAL,)
    for _ in range(8):  # what is taken out may bring two halves of a mark together
        before = shown
        for pattern in patterns:
            shown = pattern.sub(REMOVED, shown)
        if shown == before:
            break
    return shown
