"""Every recipe of examples/configs trains on a corpus of the name, layout and sizes that it is written for."""

import functools
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from tiny_run import SIZES, corpus_content, write_decoder, write_text_model
from transformers import BertTokenizer

from hf_msa.data import named
from hf_msa.data.sample_corpus import load_sample_corpus
from hf_msa.training import read_recipe, train_recipe

pytestmark = pytest.mark.slow

RECIPES = sorted((Path(__file__).parents[2] / "examples" / "configs").glob("*.yaml"))
# The language models of DeepMLF's recipes: family and number of blocks, among which fusion layers are counted.
DECODERS = {
    "gpt2": ("gpt2", 12),
    "gpt2-large": ("gpt2", 36),
    "uer/gpt2-chinese-cluecorpussmall": ("gpt2", 12),
    "HuggingFaceTB/SmolLM2-1.7B": ("llama", 24),
    "runs/smollm2": ("llama", 30),
}
# Feature sizes as MMSA publishes them, by the folder of the corpus.
DIMS = {"MOSI": (5, 20), "MOSEI": (74, 35), "SIMS": (33, 709), "composite": (25, 35)}


def write_label_csv(folder):
    """Write texts as CMU-MOSI's come: upper case, official split, seconds of the video."""
    folder.mkdir(parents=True)
    lines = ["video_id,clip_id,text,label,start,end,annotation,mode"]
    for split, content in corpus_content().items():
        for i, (text, label) in enumerate(zip(content["raw_text"], content["regression_labels"], strict=True)):
            lines.append(f"{split},{i + 1},{text.upper()},{label},{i}.0,{i}.9,Neutral,{split}")
    (folder / "label.csv").write_text("\n".join(lines) + "\n")


def write_pickle(root, name, text_model):
    """Write a pickle in MMSA's schema, aligned where its name says so."""
    path, corpus = root / name, name.split("/")[0]
    audio_dim, visual_dim = DIMS[corpus]
    content = corpus_content(audio_dim=audio_dim, visual_dim=visual_dim)
    tokenizer = BertTokenizer.from_pretrained(text_model)
    rng = np.random.default_rng(0)
    for split, part in content.items():
        size = SIZES[split]
        if path.name.startswith("aligned"):
            del part["audio_lengths"], part["vision_lengths"]
            part["text_bert"] = np.zeros((size, 3, 12), np.int64)
            part["audio"] = np.zeros((size, 12, audio_dim), np.float32)
            part["vision"] = np.zeros((size, 12, visual_dim), np.float32)
            for i, text in enumerate(part["raw_text"]):
                ids = tokenizer(text)["input_ids"]
                part["text_bert"][i, 0, : len(ids)], part["text_bert"][i, 1, : len(ids)] = ids, 1
                part["audio"][i, 1 : len(ids) - 1] = rng.standard_normal((len(ids) - 2, audio_dim))
                part["vision"][i, 1 : len(ids) - 1] = rng.standard_normal((len(ids) - 2, visual_dim))
        if corpus == "SIMS":
            part["regression_labels"] = part["regression_labels"] / 3
            for modality in "TAV":
                part[f"regression_labels_{modality}"] = part["regression_labels"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 4))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return the folder in which the recipes find corpora, text models and the runs of first stages."""
    folder = tmp_path_factory.mktemp("recipes")
    write_text_model(folder / "encoder", num_hidden_layers=6)  # as MiniLM
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HF_MSA_CORPORA", str(folder))
        patched.chdir(folder)
        patched.setattr(named, "load_sample_corpus", few_rows)
        yield folder


def few_rows():
    """Return as many rows of the sample corpus as the written corpora have."""
    splits = load_sample_corpus()
    return DatasetDict({split: splits[split].select(range(size)) for split, size in SIZES.items()})


def shortened(path, folder):
    """Return a recipe of one seed and two steps, with a small text model of its own kind and its corpus."""
    name = read_recipe(path).text_model
    text_model = folder / "encoder"
    if name in DECODERS:
        text_model = folder / name.replace("/", "_")
        if not text_model.exists():
            write_decoder(text_model, *DECODERS[name])
    recipe = read_recipe(path, [f"text_model={text_model}", "max_steps=2", "per_device_train_batch_size=4"])
    recipe.seeds, recipe.measure_train = [1], False
    if recipe.corpus != "sample" and not (folder / recipe.corpus).exists():
        if recipe.corpus.endswith(".pkl"):
            write_pickle(folder, recipe.corpus, folder / "encoder")
        else:
            write_label_csv(folder / recipe.corpus)
    return recipe


@pytest.fixture(scope="module")
def train(place):
    """Return what trains a recipe, each once: one first stage serves all second stages that name it."""

    @functools.cache
    def train_once(path):
        recipe = shortened(path, place)
        if recipe.stage_one is not None:  # where `hf-msa train` puts the run of the recipe of that name
            first, _ = train_once(path.with_name(f"{Path(recipe.stage_one).name}.yaml"))
            assert first.corpus == recipe.corpus
        return recipe, train_recipe(recipe, Path("runs") / path.stem)

    return train_once


# The sample corpus has more words than the tiny tokenizer.
@pytest.mark.filterwarnings("ignore:train_dataset. text. expected words that")
@pytest.mark.filterwarnings("ignore:eval_dataset. text. expected words that")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains_on_a_corpus_of_its_layout(path, train):
    recipe, results = train(path)
    assert math.isfinite(results.runs[0].metrics["test"]["mae"])
    assert results.corpus["rows"] == SIZES
    assert results.corpus["name"] == recipe.corpus
    dims = DIMS.get(recipe.corpus.split("/")[0])
    if dims is not None:
        assert (results.model["config"]["audio_dim"], results.model["config"]["visual_dim"]) == dims
    assert ("acc_2_non0" in results.runs[0].metrics["test"]) == ("SIMS" not in recipe.corpus)
