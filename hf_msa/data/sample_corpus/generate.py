"""Write the sample corpus: `python -m hf_msa.data.sample_corpus.generate OUT_DIR`."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Array2D, Dataset, DatasetDict, Features, List, Value
from numpy.random import RandomState  # its streams are frozen, those of numpy's Generator may change with a release

from .columns import AUDIO_COLUMNS, AUDIO_RATE, VISUAL_COLUMNS, VISUAL_RATE
from .grammar import Writer
from .lexicon import DOMAINS
from .streams import draw_face, draw_speaker, draw_timing, draw_voice

SEED = 21
SPEAKERS = {"train": range(1, 17), "valid": range(17, 20), "test": range(20, 25)}
UTTERANCES_PER_SPEAKER = 20

# label = 0.6 text + 0.5 voice + 0.5 face + noise, where voice = 0.4 text + noise of its own, and the face likewise:
# each stream carries a part of the label that the others do not.
TEXT_WEIGHT, STREAM_WEIGHT, LABEL_NOISE = 0.6, 0.5, 0.2
STREAM_ON_TEXT, STREAM_OWN = 0.4, 1.3
SARCASM, NOISY_CAMERA = 0.04, 0.04  # shares of utterances in which one stream contradicts
NO_AUDIO, NO_VISUAL, NEITHER = 0.05, 0.05, 0.02  # shares of utterances with missing streams

FEATURES = Features(
    {
        "id": Value("string"),
        "speaker": Value("string"),
        "text": Value("string"),
        "words": List({"word": Value("string"), "start": Value("float32"), "end": Value("float32")}),
        "audio": Array2D((None, len(AUDIO_COLUMNS)), "float16"),
        "visual": Array2D((None, len(VISUAL_COLUMNS)), "float16"),
        "audio_rate": Value("float32"),
        "visual_rate": Value("float32"),
        "label": Value("float32"),
    }
)

logger = logging.getLogger(__name__)


class Affect(NamedTuple):
    """How positive the voice is and the face looks in one utterance, and the label that results."""

    voice: float
    face: float
    label: float


def draw_affect(rng: RandomState, sentiment: float) -> Affect:
    """Draw a voice and a face, which go with the text only in part, and the label that all three decide.

    In sarcasm the voice contradicts the text and pulls the label away from it. A noisy camera shows the opposite of
    the face that the label goes by.

    Args:
        rng: Source of randomness.
        sentiment: Sentiment of the text.
    """
    voice, face = (float(own) for own in STREAM_ON_TEXT * sentiment + STREAM_OWN * rng.standard_normal(2))
    noise = LABEL_NOISE * rng.standard_normal()
    draw, strength = rng.random_sample(), rng.uniform(1.5, 3.0)
    if draw < SARCASM:
        voice = -strength if sentiment > 0 else strength
    label = TEXT_WEIGHT * sentiment + STREAM_WEIGHT * (voice + face) + noise
    label = min(max(round(label * 5) / 5, -3.0), 3.0)  # in fifths, like the mean of five annotators
    return Affect(voice, -face if SARCASM <= draw < SARCASM + NOISY_CAMERA else face, label)


def draw_missing(rng: RandomState) -> tuple[bool, bool]:
    """Draw whether audio and visual are missing.

    Args:
        rng: Source of randomness.
    """
    draw = rng.random_sample()
    no_audio = draw < NO_AUDIO + NEITHER
    no_visual = NO_AUDIO <= draw < NO_AUDIO + NEITHER + NO_VISUAL
    return no_audio, no_visual


def iterate_utterances(split: str, taken: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one split.

    Args:
        split: `train`, `valid` or `test`.
        taken: Texts that may not occur again; grows.
    """
    for number in SPEAKERS[split]:
        texts, streams = RandomState([SEED, number, 0]), RandomState([SEED, number, 1])
        speaker = draw_speaker(streams)
        writer = Writer(texts, DOMAINS[number % len(DOMAINS)], unseen=split != "train")
        clip = 0
        while clip < UTTERANCES_PER_SPEAKER:
            utterance = writer.write()
            text = " ".join(utterance.words)
            if text in taken:
                continue
            taken.add(text)
            clip += 1
            affect = draw_affect(streams, utterance.sentiment)
            timing = draw_timing(streams, utterance.words, speaker.tempo)
            audio = draw_voice(streams, speaker, timing, utterance.loaded, affect.voice)
            visual = draw_face(streams, speaker, timing, utterance.loaded, affect.face)
            no_audio, no_visual = draw_missing(streams)
            name = f"speaker{number:02d}"
            yield {
                "id": f"{name}$_${clip}",
                "speaker": name,
                "text": text,
                "words": [
                    {"word": word, "start": start, "end": end}
                    for word, (start, end) in zip(utterance.words, timing.intervals, strict=True)
                ],
                "audio": audio[:0] if no_audio else audio,
                "visual": visual[:0] if no_visual else visual,
                "audio_rate": AUDIO_RATE,
                "visual_rate": VISUAL_RATE,
                "label": affect.label,
            }


def generate_corpus() -> DatasetDict:
    """Return the three splits, the same on every call."""
    taken: set[str] = set()
    return DatasetDict(
        {split: Dataset.from_list(list(iterate_utterances(split, taken)), features=FEATURES) for split in SPEAKERS}
    )


def write_corpus(out_dir: Path) -> None:
    """Write one Parquet file per split.

    Args:
        out_dir: Folder for `train.parquet`, `valid.parquet` and `test.parquet`; made if it does not exist.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    for split, dataset in generate_corpus().items():
        path = out_dir / f"{split}.parquet"
        dataset.to_parquet(str(path))
        logger.info("%s: %d utterances, %.2f MB", path, len(dataset), path.stat().st_size / 1e6)


def main() -> None:
    """Read the command line and write the corpus."""
    parser = argparse.ArgumentParser(description="Write the sample corpus as Parquet files, one per split.")
    parser.add_argument("out_dir", type=Path, help="folder for train.parquet, valid.parquet and test.parquet")
    write_corpus(parser.parse_args().out_dir)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
