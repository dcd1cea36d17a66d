"""The terms of corpora, and which licence a model trained on them may carry.

A checkpoint gets no licence that is freer than that of a corpus it was trained on. This is a guard against mistakes,
not legal advice.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """Under which terms a corpus is given.

    Args:
        corpus: Its name.
        licence: As the Hub calls it; "other" where the terms are of their own.
        text: The same in a sentence.
        language: Of its speakers, ISO 639-1.
        is_restricted: Whether passing the corpus itself on needs rights that only the user can know of.
    """

    corpus: str
    licence: str
    text: str
    language: str | None = None
    is_restricted: bool = True


_RESEARCH = "Given by its authors for research; the speakers' rights in the videos stay with them."
_KNOWN = {
    "sample": Terms(
        "sample",
        "apache-2.0",
        "Made by this package, under its licence; nobody was recorded; scores on it say nothing of real speech.",
        "en",
        is_restricted=False,
    ),
    "mosi": Terms("CMU-MOSI", "other", _RESEARCH, "en"),
    "mosei": Terms("CMU-MOSEI", "other", _RESEARCH, "en"),
    "sims": Terms("CH-SIMS", "other", _RESEARCH, "zh"),
    "ravdess": Terms("RAVDESS", "cc-by-nc-sa-4.0", "CC BY-NC-SA 4.0: no commercial use, share alike.", "en"),
}
# CMUMOSI, CH-SIMS, SIMSv2, ravdess2
_NAME = re.compile(r"(?:cmu|ch)?(mosi|mosei|sims|ravdess|composite)(?:v?\d+)?")
# Parts of corpora that are put together from others.
_PARTS = {"composite": ("mosi", "ravdess")}


def terms_of(corpus: str) -> list[Terms]:
    """Return the terms of a corpus by its name, of each part where it has parts; none when nothing is known.

    Args:
        corpus: As a recipe calls it: a name or a path.
    """
    if corpus == "sample":  # the whole name: many a corpus of somebody's own is called "sample" too
        return [_KNOWN[corpus]]
    words = [found[1] for word in re.split(r"[^a-z0-9]+", corpus.lower()) if (found := _NAME.fullmatch(word))]
    names = [name for word in words for name in _PARTS.get(word, (word,))]
    return [_KNOWN[name] for name in dict.fromkeys(names)]


def freedom(licence: str) -> int:
    """Return how free a licence is, from 0 (terms of its own) to 4 (permissive).

    What is not known counts as permissive, so that it is not taken for something stricter.

    Args:
        licence: As the Hub calls it.
    """
    licence = licence.lower()
    if licence == "other":
        return 0
    if "-nc" in licence or "nc-" in licence:
        return 1 if "-sa" in licence or "-nd" in licence else 2
    if "-sa" in licence or "gpl" in licence or "mpl" in licence or "odbl" in licence:
        return 3
    return 4


def choose_licence(terms: list[Terms], licence: str | None = None) -> str:
    """Return the licence of a checkpoint: the one asked for, or the least free of its corpora's.

    Args:
        terms: Of what it was trained on; none when nothing is known, which gives "other".
        licence: Asked for.
    """
    return licence.lower() if licence else min((entry.licence for entry in terms), key=freedom, default="other")


def licence_problems(licence: str, terms: list[Terms]) -> list[str]:
    """Return a line for every corpus whose terms are stricter than a licence.

    Args:
        licence: As the Hub calls it.
        terms: Of what the model was trained on.
    """
    return [
        f"licence: expected none freer than that of {entry.corpus} ({entry.licence}), got {licence}"
        for entry in terms
        if freedom(licence) > freedom(entry.licence)
    ]


def licence_file(licence: str, terms: list[Terms]) -> str:
    """Return the text of the LICENSE file of a repository.

    Args:
        licence: Of the weights.
        terms: Of what they were trained on.
    """
    lines = [f"The weights: {licence}."]
    if licence == "other":
        lines = ["The weights carry no licence of their own; the terms of what they were trained on hold for them."]
    lines += [f"Trained on {entry.corpus}. {entry.text}" for entry in terms]
    lines += ["The text model inside keeps its own licence.", "The code (*.py): Apache-2.0, see"]
    return "\n".join([*lines, "https://www.apache.org/licenses/LICENSE-2.0", ""])


__all__ = ["Terms", "choose_licence", "freedom", "licence_file", "licence_problems", "terms_of"]
