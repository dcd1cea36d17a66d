"""The words and phrases of the sample corpus, each with the sentiment it carries in [-3, 3].

Every list comes in two halves. The training split draws from `known` only, validation and test also from `unseen`:
a bag of words fitted on train misses many of the words that matter in test, a pretrained language model does not.
A star marks a word as emotionally loaded; the voice and the face react most strongly there.
"""

from typing import NamedTuple


class Words(NamedTuple):
    """Interchangeable words, split by whether the training split may use them."""

    known: tuple[str, ...]
    unseen: tuple[str, ...]


class Phrases(NamedTuple):
    """Whole clauses with their sentiment, split by whether the training split may use them."""

    known: tuple[tuple[float, str], ...]
    unseen: tuple[tuple[float, str], ...]


class Domain(NamedTuple):
    """What a speaker reviews: nouns, aspects with the praise and blame that fit them, and set phrases."""

    thing: str
    things: str
    tried: str  # past participle: "the best film i've ever seen"
    aspects: dict[str, tuple[Words, Words]]
    verdicts: Phrases


def _words(known: str, unseen: str = "") -> Words:
    return Words(tuple(known.split(", ")), tuple(unseen.split(", ")) if unseen else ())


def _aspect(praise: str, blame: str) -> tuple[Words, Words]:
    """Read "known, known | unseen, unseen" for the praise and for the blame of one aspect."""
    first, second = (_words(*half.split(" | ")) for half in (praise, blame))
    return first, second


# Adjectives that fit anything, from strong praise to strong blame.
SUPERB = _words(
    "amazing, fantastic, brilliant, incredible, perfect, awesome, exceptional, marvelous, unforgettable",
    "superb, outstanding, phenomenal, flawless, magnificent, stellar",
)
GOOD = _words(
    "good, great, lovely, impressive, nice, enjoyable, appealing, pleasant, admirable",
    "delightful, excellent, terrific, wonderful, first rate, charming",
)
FAIR = _words("okay, fine, alright, average", "decent, passable, adequate")
BAD = _words(
    "bad, disappointing, poor, weak, mediocre, unpleasant, unimpressive, flawed",
    "underwhelming, lousy, subpar, unsatisfying, lame, dismal",
)
AWFUL = _words(
    "terrible, awful, horrible, pathetic, disastrous, embarrassing, worthless, disgraceful, miserable",
    "dreadful, atrocious, appalling, abysmal, horrendous, horrid",
)

# "i ... the ending"
OPINIONS = Phrases(
    known=(
        (2.3, "*loved"),
        (1.3, "really *liked"),
        (1.5, "really *enjoyed"),
        (2.3, "couldn't get *enough of"),
        (2.5, "was blown *away by"),
        (1.0, "have no *complaints about"),
        (0.3, "didn't *mind"),
        (-2.4, "*hated"),
        (-1.4, "really *disliked"),
        (-2.2, "couldn't *stand"),
        (-1.7, "was so let *down by"),
        (-1.1, "didn't *care for"),
        (-1.2, "got *tired of"),
    ),
    unseen=(
        (2.3, "*adored"),
        (2.4, "fell in *love with"),
        (1.4, "was pleasantly *surprised by"),
        (2.0, "can't stop *raving about"),
        (0.9, "have no *problem with"),
        (-2.4, "*despised"),
        (-2.4, "was *disgusted by"),
        (-1.2, "was not *impressed by"),
        (-1.2, "could have *done *without"),
        (-1.6, "was really *put *off by"),
    ),
)

VERDICTS = Phrases(
    known=(
        (2.7, "it doesn't get any *better than this"),
        (2.6, "i could not be *happier with it"),
        (2.2, "i told all my friends they *have to try it"),
        (1.9, "it was worth *every *penny"),
        (1.7, "it was so much *better than i expected"),
        (1.0, "i have seen a lot *worse"),
        (0.9, "i can't really *complain"),
        (0.2, "it is what you would expect"),
        (-0.7, "it's nothing *special"),
        (-1.3, "i expected so much *more from this"),
        (-1.5, "i don't get what the *fuss is about"),
        (-2.0, "*save your money people"),
        (-2.4, "what a *waste of time and money"),
        (-2.6, "it could not have been any *worse"),
        (-2.3, "i *regret every minute of it"),
    ),
    unseen=(
        (2.6, "i'm still *smiling just thinking about it"),
        (2.4, "i can't *recommend it *enough"),
        (2.2, "it blew my *expectations out of the water"),
        (1.8, "you won't be *disappointed"),
        (1.1, "there is a lot to *like here"),
        (0.7, "i've got nothing *bad to say about it"),
        (-0.6, "it didn't do much for me"),
        (-1.4, "it falls *short of the *hype"),
        (-1.8, "do yourself a favor and *skip it"),
        (-2.2, "it made me want to *scream"),
        (-2.5, "i wouldn't wish it on my worst *enemy"),
        (-2.6, "i want my money *back"),
    ),
)

NEUTRAL = Phrases(
    known=(
        (0.0, "my sister told me about it last week"),
        (0.0, "this is the second one i'm reviewing"),
        (0.0, "let me start with the basics"),
        (0.0, "i'll talk about the {aspect} in a minute"),
        (0.0, "a lot of people asked me about the {aspect}"),
        (0.0, "i first heard about it on the radio"),
    ),
    unseen=(
        (0.0, "i promised you a video about the {aspect}"),
        (0.0, "it came out around this time last year"),
        (0.0, "next i want to go over the {aspect}"),
        (0.0, "we were there with my cousin and his kids"),
    ),
)

DOMAINS = (
    Domain(
        thing="movie",
        things="movies",
        tried="seen",
        aspects={
            "acting": _aspect("convincing, heartfelt | believable, nuanced", "wooden, stiff | lifeless, forced"),
            "plot": _aspect("gripping, clever | riveting, captivating", "predictable, thin | cliched, muddled"),
            "soundtrack": _aspect("catchy, beautiful | haunting, gorgeous", "forgettable, loud | grating, generic"),
            "ending": _aspect("satisfying, touching | moving, uplifting", "rushed, silly | ridiculous, anticlimactic"),
            "dialogue": _aspect("witty, funny | hilarious, razor sharp", "cheesy, clumsy | cringeworthy, corny"),
        },
        verdicts=Phrases(
            known=(
                (2.4, "i would *watch it *again in a heartbeat"),
                (2.3, "i *laughed the whole way through"),
                (2.2, "the whole theater was *clapping at the end"),
                (2.0, "it kept me on the *edge of my seat"),
                (0.6, "it's a good one for a rainy sunday"),
                (-1.2, "i kept *checking my watch"),
                (-1.6, "the story goes *nowhere for two hours"),
                (-2.2, "i *fell *asleep halfway through"),
                (-2.6, "i *walked *out after twenty minutes"),
            ),
            unseen=(
                (2.5, "it gave me *goosebumps from start to finish"),
                (2.2, "i was *glued to the screen"),
                (1.8, "bring *tissues because it really *gets to you"),
                (-1.8, "i could not wait for it to be *over"),
                (-2.5, "that's two hours of my life i'll never get *back"),
            ),
        ),
    ),
    Domain(
        thing="book",
        things="books",
        tried="read",
        aspects={
            "writing": _aspect("elegant, vivid | poetic, graceful", "clumsy, flat | stilted, amateurish"),
            "story": _aspect("gripping, touching | compelling, absorbing", "slow, confusing | dreary, convoluted"),
            "main character": _aspect(
                "likeable, funny | endearing, relatable", "annoying, shallow | insufferable, whiny"
            ),
            "first chapter": _aspect(
                "exciting, clever | thrilling, intriguing", "dull, messy | plodding, long winded"
            ),
            "twist": _aspect(
                "clever, surprising | ingenious, jaw dropping", "predictable, silly | far fetched, laughable"
            ),
        },
        verdicts=Phrases(
            known=(
                (2.5, "i *finished it in one night"),
                (2.4, "i could not put it *down"),
                (2.0, "i'm already looking for the *sequel"),
                (0.5, "it's an easy read for the train"),
                (-1.3, "i had to *force myself to finish it"),
                (-2.2, "i *gave *up after fifty pages"),
                (-2.4, "i threw it across the *room"),
            ),
            unseen=(
                (2.4, "i *stayed *up until four just to find out what happens"),
                (2.1, "it will *stay with me for years"),
                (-1.4, "i *skimmed most of the second half"),
                (-2.2, "i donated my copy the *same *day"),
            ),
        ),
    ),
    Domain(
        thing="phone",
        things="phones",
        tried="owned",
        aspects={
            "battery": _aspect(
                "long lasting, reliable | dependable, solid", "weak, useless | unreliable, short lived"
            ),
            "screen": _aspect("sharp, beautiful | crisp, gorgeous", "dim, blurry | washed out, grainy"),
            "camera": _aspect("sharp, clever | stunning, top notch", "blurry, slow | sluggish, third rate"),
            "design": _aspect("beautiful, clever | sleek, elegant", "ugly, cheap | clunky, hideous"),
            "software": _aspect("fast, reliable | smooth, snappy", "slow, confusing | buggy, laggy"),
        },
        verdicts=Phrases(
            known=(
                (2.4, "i bought a *second one for my mom"),
                (2.2, "it just *works every single time"),
                (1.7, "it makes my life so much *easier"),
                (0.5, "it does the job"),
                (-1.3, "i went *back to my old one"),
                (-2.2, "it *broke after a week"),
                (-2.3, "i *returned it the next day"),
            ),
            unseen=(
                (2.3, "i don't know how i ever *lived *without it"),
                (1.9, "it still *runs like *new after two years"),
                (-1.6, "it *freezes every time i open an app"),
                (-2.3, "it's an expensive *paperweight"),
            ),
        ),
    ),
    Domain(
        thing="restaurant",
        things="restaurants",
        tried="been to",
        aspects={
            "food": _aspect("delicious, fresh | mouthwatering, scrumptious", "greasy, cold | inedible, stale"),
            "service": _aspect("friendly, fast | attentive, courteous", "slow, rude | careless, unprofessional"),
            "waiter": _aspect("friendly, funny | gracious, kind", "rude, slow | arrogant, dismissive"),
            "dessert": _aspect("delicious, beautiful | heavenly, divine", "dry, tasteless | soggy, bland"),
            "atmosphere": _aspect("cozy, warm | inviting, relaxing", "cold, loud | gloomy, stuffy"),
        },
        verdicts=Phrases(
            known=(
                (2.4, "we are going *back this weekend"),
                (2.3, "i practically *licked the plate"),
                (2.0, "we already booked a table for my *birthday"),
                (0.5, "it fills you up"),
                (-1.5, "we waited an *hour for cold soup"),
                (-2.2, "i'm *never going back there"),
                (-2.7, "it made my whole family *sick"),
            ),
            unseen=(
                (2.4, "i'm still *dreaming about that pasta"),
                (2.1, "we *cleaned our plates and ordered *more"),
                (-1.8, "i've had *better meals at a gas station"),
                (-2.4, "we *left before the main course came"),
            ),
        ),
    ),
    Domain(
        thing="hotel",
        things="hotels",
        tried="stayed at",
        aspects={
            "room": _aspect("clean, cozy | spotless, spacious", "dirty, tiny | filthy, cramped"),
            "bed": _aspect("comfortable, soft | comfy, heavenly", "hard, dirty | lumpy, creaky"),
            "breakfast": _aspect("delicious, fresh | scrumptious, plentiful", "cold, tasteless | stale, stingy"),
            "view": _aspect("beautiful, relaxing | breathtaking, spectacular", "ugly, depressing | bleak, grim"),
            "front desk": _aspect("friendly, helpful | welcoming, courteous", "rude, useless | hostile, clueless"),
        },
        verdicts=Phrases(
            known=(
                (2.4, "we didn't want to *leave"),
                (2.2, "they made us feel right at *home"),
                (1.9, "we are coming *back next summer"),
                (0.5, "it's a place to sleep"),
                (-1.5, "the walls are so *thin we heard *everything"),
                (-2.2, "we *checked *out a day early"),
                (-2.7, "there were *bugs in the bathroom"),
            ),
            unseen=(
                (2.5, "i *slept like a *baby"),
                (2.2, "they *spoiled us from the moment we arrived"),
                (-1.9, "the pictures online are a *lie"),
                (-2.4, "i'd rather *sleep in my *car"),
            ),
        ),
    ),
)
