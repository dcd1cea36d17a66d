"""Every recipe of examples/configs trains on a corpus of the name, layout and sizes that it is written for."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny_run import SIZES, corpus_content, write_decoder, write_text_model
from transformers import BertTokenizer

from hf_msa.training import read_recipe, train_recipe

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
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(content, 4))


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return write_text_model(tmp_path_factory.mktemp("text"), num_hidden_layers=6)  # as MiniLM


def shortened(path, text_model, folder):
    """Return a recipe of one seed and two steps, with a small text model of its own kind."""
    name = read_recipe(path).text_model
    if name in DECODERS:
        text_model = write_decoder(folder / path.stem, *DECODERS[name])
    recipe = read_recipe(path, [f"text_model={text_model}", "max_steps=2", "per_device_train_batch_size=4"])
    recipe.seeds = [1]
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains_on_a_corpus_of_its_layout(path, text_model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MSA_CORPORA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    recipe = shortened(path, text_model, tmp_path)
    if recipe.corpus.endswith(".pkl"):
        write_pickle(tmp_path, recipe.corpus, text_model)
    elif recipe.corpus != "sample":
        write_label_csv(tmp_path / recipe.corpus)
    stage_one = recipe.model.get("av_encoder_name_or_path")
    if stage_one is not None:  # where `hf-msa train` puts the run of the recipe of that name
        first = shortened(path.with_name(f"{Path(stage_one).name}.yaml"), text_model, tmp_path)
        assert first.corpus == recipe.corpus
        train_recipe(first, stage_one)
    results = train_recipe(recipe, tmp_path / "run")
    assert math.isfinite(results.runs[0].metrics["test"]["mae"])
    if recipe.corpus != "sample":
        assert results.corpus["rows"] == SIZES
        assert results.corpus["name"] == recipe.corpus
    dims = DIMS.get(recipe.corpus.split("/")[0])
    if dims is not None:
        assert (results.model["config"]["audio_dim"], results.model["config"]["visual_dim"]) == dims
    assert ("acc_2_non0" in results.runs[0].metrics["test"]) == ("SIMS" not in recipe.corpus)
