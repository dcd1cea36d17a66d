"""Checkpoints of every model, small enough to push in no time, with results as `hf-msa train` writes them."""

from dataclasses import replace

import torch
from tiny_models import TINY, processor_class
from tiny_tokenizers import bert

from hf_msa.evaluation.results import Results, SeedResult
from hf_msa.models import MsaFeatureExtractor

TEXT_MODEL = "somebody/text-model"


def tiny_results(corpus="sample", maes=(0.7512, 0.7734), **metrics):
    """Return results of a run with a seed per error."""

    def split(mae):
        return {"mae": mae, "corr": 0.70271, "acc_2_has0": 0.8123, "f1_has0": 0.8051, "acc_7": 0.4187} | metrics

    return Results(
        name="tiny",
        recipe={"model_type": "pgf_net", "corpus": corpus},
        corpus={
            "name": corpus,
            "sha256": "ab" * 32,
            "rows": {"train": 1284, "valid": 229, "test": 686},
            "repairs": {},
        },
        model={"text_model": TEXT_MODEL, "parameters": 2345678, "trainable_parameters": 1234567, "config": {}},
        versions={"torch": torch.__version__, "transformers": "5.23.0"},
        machine={"accelerator": None, "processor": "x86_64", "cores": 2},
        seconds=1260.0,
        best_seed=1111,
        runs=tuple(
            SeedResult(1111 + i, f"seeds/{1111 + i}", 3, 8, 60.0, {name: split(mae) for name in ("valid", "test")})
            for i, mae in enumerate(maes)
        ),
        command="hf-msa train tiny.yaml",
    )


def write_checkpoint(folder, model_type="pgf_net", results=None, **fields):
    """Save model and processor, and results beside them."""
    TINY[model_type](text_model_name_or_path=TEXT_MODEL, **fields).save_pretrained(folder)
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    processor_class(model_type)(extractor, bert(model_max_length=32)).save_pretrained(folder)
    if results is not None:
        replace(results, recipe=results.recipe | {"model_type": model_type}).write(folder)
    return folder
