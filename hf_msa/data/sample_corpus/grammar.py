"""Sentences of the sample corpus: short spoken reviews, composed so that the sentiment is known.

Negation, contrast, hedges and reported opinions turn the sentiment of the words around, so that counting words is
not enough: "the plot wasn't boring at all" is praise, "everyone calls it superb and i just don't see it" is not.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from numpy.random import RandomState

from . import lexicon
from .lexicon import Domain, Phrases, Words

MIN_WORDS, MAX_WORDS = 4, 16
UNSEEN_SHARE = 0.7  # how often validation and test prefer a word that train never uses

T = TypeVar("T")


class Utterance(NamedTuple):
    """One sentence: its words, which of them are emotionally loaded, and its sentiment in [-3, 3]."""

    words: tuple[str, ...]
    loaded: tuple[bool, ...]
    sentiment: float


class Clause(NamedTuple):
    """A part of a sentence: its sentiment and its text, loaded words marked with a star."""

    sentiment: float
    text: str


# Frames around a slot, and what they make of it. For adjectives a factor, for negations the sentiment that results.
DEGREES_STRONG = ((1.0, ""), (1.1, "absolutely"), (1.1, "just"), (1.15, "truly"))
DEGREES = ((1.0, ""), (1.0, ""), (1.2, "really"), (1.2, "really"), (1.2, "so"), (0.85, "pretty"), (0.6, "kind of"))
ASPECTS = ("the {aspect} {be}", "the {aspect} {be}", "i found the {aspect}")
WHOLES = ("it {be}", "the whole {thing} felt", "everything about it {be}")

NOT_BAD = (
    (1.1, "{be}n't {adj} at all"),
    (1.6, "{be} anything but {adj}"),
    (1.2, "{be} far from {adj}"),
    (1.1, "{be} never {adj}"),
    (0.8, "{be} nowhere near as {adj} as people say"),
    (1.0, "{be} not {adj} by any means"),
)
NOT_GOOD = (
    (-1.5, "{be}n't {adj} at all"),
    (-1.9, "{be} anything but {adj}"),
    (-1.5, "{be} far from {adj}"),
    (-1.2, "{be} never really {adj}"),
    (-1.1, "{be} nowhere near as {adj} as people say"),
    (-1.0, "{be}n't exactly {adj}"),
)
BETTER = (
    (1.5, "people call it {bad} and i could not *disagree *more"),
    (1.7, "the reviews said {bad} and they were so *wrong"),
    (1.4, "i thought it would be {bad} and it *really *wasn't"),
    (1.2, "i can't see why anyone would call the {aspect} {bad}"),
    (1.3, "there is not a single {bad} thing about the {aspect}"),
)
WORSE = (
    (-1.5, "everyone calls it {good} and i just don't *see it"),
    (-1.8, "my friends said it was {good} but they *lied"),
    (-1.0, "i *wish the {aspect} had been {good}"),
    (-0.9, "it would have been {good} *without that {aspect}"),
    (-1.4, "i really wanted it to be {good} and it just *wasn't"),
    (-1.3, "how anyone can call the {aspect} {good} is *beyond me"),
)
FAIR_TAILS = ((0.2, "nothing more"), (0.3, "i guess"), (-0.2, "nothing to write home about"))
SUPERLATIVES = (
    (2.6, "this is the {best} {thing} i've {tried} in years"),
    (2.4, "it's one of the {best} {things} i've ever {tried}"),
    (-2.6, "this is the {best} {thing} i've ever {tried}"),
    (-2.4, "it's one of the {best} {things} i've {tried} this year"),
)
BEST = Words(("best",), ("finest", "greatest", "loveliest"))
WORST = Words(("worst",), ("crummiest", "sloppiest", "dullest"))

OPENERS = (
    (1.0, "well"),
    (1.0, "so yeah"),
    (1.0, "i mean"),
    (1.0, "um"),
    (1.0, "you know"),
    (1.1, "honestly"),
    (1.1, "i have to say"),
    (0.8, "i think"),
    (0.6, "i guess"),
)
CLOSERS = ((1.0, "to be honest"), (1.0, "if you ask me"), (1.0, "in my opinion"), (1.15, "for sure"), (0.6, "i guess"))


class Writer:
    """Compose utterances about one domain.

    The shares in the code keep negated adjectives and reported opinions rare: embeddings of a small frozen language
    model hardly see them, and a quick run on the corpus should still learn something.

    Args:
        rng: Source of every choice.
        domain: What is reviewed.
        unseen: Whether words that the training split never uses are allowed, and preferred.
    """

    def __init__(self, rng: RandomState, domain: Domain, unseen: bool) -> None:
        self.rng = rng
        self.domain = domain
        self.unseen = unseen

    def write(self) -> Utterance:
        """Return one utterance of 4 to 16 words."""
        while True:
            sentiment, text = self._sentence()
            marked = text.split()
            if MIN_WORDS <= len(marked) <= MAX_WORDS:
                words = tuple(word.removeprefix("*") for word in marked)
                loaded = tuple(word.startswith("*") for word in marked)
                return Utterance(words, loaded, max(-3.0, min(3.0, sentiment)))

    def _sentence(self) -> Clause:
        """Return one clause, or two that agree or disagree, perhaps with an opener or a closer."""
        sign = self._pick((1, -1))
        first, second = self._two_aspects()
        be = self._pick(("was", "is"))
        draw = self.rng.random_sample()
        if draw < 0.07:
            value, text = self._signed(lexicon.NEUTRAL, 0)
            return Clause(value, self._filled(text, first))
        if draw < 0.14:
            value, tail = self._pick(FAIR_TAILS)
            return Clause(value, f"the {first} {be} {_starred(self._word(lexicon.FAIR))} {tail}")
        if draw < 0.23:  # the part after "but" decides
            weak, strong = self._plain(-sign, first, be), self._direct(sign, second, be)
            pattern = self._pick(("{weak} but {strong}", "even though {weak} {strong}", "{strong} even though {weak}"))
            text = pattern.format(weak=weak.text, strong=strong.text)
            return Clause(0.3 * weak.sentiment + 0.85 * strong.sentiment, text)
        if draw < 0.40:
            one, two = self._plain(sign, first, be), self._opinion(sign, second)
            clause = Clause(0.6 * (one.sentiment + two.sentiment), f"{one.text} and {two.text}")
        else:
            clause = self._any(sign, first, be)
        return self._framed(clause)

    def _any(self, sign: int, aspect: str, be: str) -> Clause:
        """Return one clause of the given polarity, of any kind."""
        draw = self.rng.random_sample()
        if draw < 0.04:
            return self._reported(sign, aspect)
        if draw < 0.2:
            return self._plain(sign, None, be)
        return self._direct(sign, aspect, be)

    def _direct(self, sign: int, aspect: str, be: str) -> Clause:
        """Return one clause of the given polarity that can stand beside another one."""
        draw = self.rng.random_sample()
        if draw < 0.22:
            return self._verdict(sign, aspect)
        if draw < 0.30:
            return self._negated(sign, aspect, be)
        if draw < 0.65:
            return self._opinion(sign, aspect)
        if draw < 0.8:
            return self._superlative(sign)
        return self._plain(sign, aspect, be)

    def _plain(self, sign: int, aspect: str | None, be: str) -> Clause:
        """Say that an aspect, or the whole, is good or bad: "the acting was really convincing"."""
        if self._chance(0.3):
            value, adjective = 2.4, self._word(lexicon.SUPERB if sign > 0 else lexicon.AWFUL)
            factor, degree = self._pick(DEGREES_STRONG)
        else:
            value, adjective = 1.6, self._adjective(sign, aspect)
            factor, degree = self._pick(DEGREES)
        subject = self._filled(self._pick(ASPECTS if aspect else WHOLES), aspect, be)
        return Clause(sign * value * factor, f"{subject} {_starred(degree)} {_starred(adjective)}")

    def _negated(self, sign: int, aspect: str, be: str) -> Clause:
        """Deny the opposite: "the acting wasn't wooden at all"."""
        value, predicate = self._pick(NOT_BAD if sign > 0 else NOT_GOOD)
        subject, of = ("it", None) if self._chance(0.3) else (f"the {aspect}", aspect)
        predicate = predicate.replace("{adj}", _starred(self._adjective(-sign, of)))
        return Clause(value, self._filled(f"{subject} {predicate}", aspect, be))

    def _reported(self, sign: int, aspect: str) -> Clause:
        """Reject what others say, or what one had hoped for."""
        value, text = self._pick(BETTER if sign > 0 else WORSE)
        slot = "{bad}" if sign > 0 else "{good}"
        adjective = self._adjective(-sign, None)
        return Clause(value, self._filled(text.replace(slot, adjective), aspect))

    def _opinion(self, sign: int, aspect: str) -> Clause:
        """Say what one felt about an aspect: "i adored the ending"."""
        value, verb = self._signed(lexicon.OPINIONS, sign)
        return Clause(value, f"i {verb} the {aspect}")

    def _superlative(self, sign: int) -> Clause:
        """Rank the whole: "one of the finest books i've ever read"."""
        if self._chance(0.4):
            adjective = self._word(lexicon.SUPERB if sign > 0 else lexicon.AWFUL)
            article = "an" if adjective[0] in "aeiou" else "a"
            return Clause(2.4 * sign, f"this is {article} {_starred(adjective)} {self.domain.thing}")
        value, text = self._pick([(value, text) for value, text in SUPERLATIVES if value * sign > 0])
        text = text.replace("{best}", f"*{self._word(BEST if sign > 0 else WORST)}")
        return Clause(value, self._filled(text, None))

    def _verdict(self, sign: int, aspect: str) -> Clause:
        """Return a set phrase, one in two about the domain: "i want my money back"."""
        phrases = self._pick((lexicon.VERDICTS, self.domain.verdicts))
        value, text = self._signed(phrases, sign)
        return Clause(value, self._filled(text, aspect))

    def _framed(self, clause: Clause) -> Clause:
        """Put an opener or a closer around a clause, which may weaken or strengthen it."""
        draw = self.rng.random_sample()
        if draw < 0.3:
            factor, opener = self._pick(OPENERS)
            return Clause(clause.sentiment * factor, f"{opener} {clause.text}")
        if draw < 0.45:
            factor, closer = self._pick(CLOSERS)
            return Clause(clause.sentiment * factor, f"{clause.text} {closer}")
        return clause

    def _adjective(self, sign: int, aspect: str | None) -> str:
        """Return an adjective of medium strength, two in three times one that fits the aspect."""
        if aspect is not None and self._chance(0.65):
            praise, blame = self.domain.aspects[aspect]
            return self._word(praise if sign > 0 else blame)
        return self._word(lexicon.GOOD if sign > 0 else lexicon.BAD)

    def _two_aspects(self) -> tuple[str, str]:
        names = list(self.domain.aspects)
        first = names.pop(self.rng.randint(len(names)))
        return first, self._pick(names)

    def _filled(self, text: str, aspect: str | None, be: str = "was") -> str:
        thing, things, tried = self.domain.thing, self.domain.things, self.domain.tried
        return text.format(aspect=aspect, be=be, thing=thing, things=things, tried=tried)

    def _signed(self, phrases: Phrases, sign: int) -> tuple[float, str]:
        """Return a phrase of the given polarity (1, -1, or 0 for neutral)."""
        half = phrases.unseen if self._prefers_unseen() else phrases.known
        return self._pick([(value, text) for value, text in half if (value > 0) - (value < 0) == sign])

    def _word(self, words: Words) -> str:
        return self._pick(words.unseen if self._prefers_unseen() else words.known)

    def _prefers_unseen(self) -> bool:
        return self.unseen and self._chance(UNSEEN_SHARE)

    def _chance(self, share: float) -> bool:
        return self.rng.random_sample() < share

    def _pick(self, options: Sequence[T]) -> T:
        return options[self.rng.randint(len(options))]


def _starred(text: str) -> str:
    """Mark every word as loaded."""
    return " ".join(f"*{word}" for word in text.split())
