"""The terms of corpora, and which license a model trained on them may carry.

A checkpoint gets no license that is freer than that of a corpus it was trained on. This is a guard against mistakes,
not legal advice.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """Under which terms a corpus is given.

    Args:
        corpus: Name of the corpus.
        license: As the Hub spells it; "other" where the terms are of their own.
        text: The terms in a sentence.
        language: Language of its speakers, ISO 639-1.
        is_restricted: Whether passing the corpus itself on needs rights that only the user can know of.
    """

    corpus: str
    license: str
    text: str
    language: str | None = None
    is_restricted: bool = True


_RESEARCH = "Given by its authors for research; the speakers' rights in the videos stay with them."
_KNOWN = {
    "sample": Terms(
        "sample",
        "apache-2.0",
        "Made by this package, under its license; nobody was recorded; scores on it say nothing of real speech.",
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


def freedom(license: str) -> int:
    """Return how free a license is, from 0 (terms of its own) to 4 (permissive).

    What is not known counts as permissive, so that it is not taken for something stricter.

    Args:
        license: As the Hub spells it.
    """
    license = license.lower()
    if license == "other":
        return 0
    if "-nc" in license or "nc-" in license:
        return 1 if "-sa" in license or "-nd" in license else 2
    if "-sa" in license or "gpl" in license or "mpl" in license or "odbl" in license:
        return 3
    return 4


def choose_license(terms: list[Terms], license: str | None = None) -> str:
    """Return the license of a checkpoint: the one asked for, or the least free of its corpora's.

    Args:
        terms: Terms of what it was trained on; none when nothing is known, which gives "other".
        license: Asked for.
    """
    return license.lower() if license else min((entry.license for entry in terms), key=freedom, default="other")


def license_problems(license: str, terms: list[Terms]) -> list[str]:
    """Return a line for every corpus whose terms are stricter than a license.

    Args:
        license: As the Hub spells it.
        terms: Terms of what the model was trained on.
    """
    return [
        f"license: expected none freer than that of {entry.corpus} ({entry.license}), got {license}"
        for entry in terms
        if freedom(license) > freedom(entry.license)
    ]


def license_file(license: str, terms: list[Terms]) -> str:
    """Return the text of the LICENSE file of a repository.

    Args:
        license: License of the weights.
        terms: Terms of what they were trained on.
    """
    lines = [f"The weights: {license}."]
    if license == "other":
        lines = ["The weights carry no license of their own; the terms of what they were trained on hold for them."]
    lines += [f"Trained on {entry.corpus}. {entry.text}" for entry in terms]
    lines += ["The text model inside keeps its own license.", "The code (*.py): Apache-2.0, see"]
    return "\n".join([*lines, "https://www.apache.org/licenses/LICENSE-2.0", ""])


__all__ = ["Terms", "choose_license", "freedom", "license_file", "license_problems", "terms_of"]
