"""The golden vectors of the authors' code, and their weights under our names."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, LlamaConfig

from hf_msa.conversion.deepmlf import STAGE_ONE_NAMES, STAGE_TWO_NAMES
from hf_msa.conversion.deepmlf import our_weights as renamed

GOLDEN = Path(__file__).parents[1] / "golden"


def read_golden(name):
    """Return the description, the inputs, the outputs and the authors' weights of a golden file.

    The two small ones lie beside the tests, as "deepmlf_gpt2_mini"; the others beside the corpora, as "gpt2".
    """
    folder = GOLDEN
    if not name.startswith("deepmlf_"):
        corpora = os.environ.get("HF_MSA_CORPORA")
        if not corpora:
            pytest.skip("HF_MSA_CORPORA does not say where the public corpora are")
        folder = Path(corpora).parent / "golden_deepmlf"
        if not folder.exists():
            pytest.skip(f"no {folder}")
    tensors = load_file(folder / f"{name}.safetensors")

    def part(prefix):
        return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

    description = json.loads((folder / f"{name}.json").read_text())
    return description, part("inputs."), part("outputs."), part("weights.Model.")


def av_fields(description):
    """Return the fields of the audiovisual encoder, as the authors' description says them."""
    av = description["av_encoder"]
    return {
        "audio_dim": av["audio_dim"],
        "visual_dim": av["visual_dim"],
        "av_length": av["maxlen"],
        "av_num_hidden_layers": av["nlevels"],
        "audio_batch_norm": av["batch_norm"]["audio"],
        "visual_batch_norm": av["batch_norm"]["visual"],
    }


def batch_of(inputs, description, masks=True, zero_steps=False):
    """Return the inputs of a model; without masks every frame of the arrays is real, as the authors have it."""
    prefix = "zero_steps." if zero_steps else ""
    batch = {key: inputs[key] for key in ("input_ids", "attention_mask") if key in inputs}
    for stream in ("audio", "visual"):
        values = inputs[prefix + stream]
        batch[f"{stream}_values"] = values
        if masks:
            lengths = torch.tensor(description["real_frames"][prefix + stream])
            batch[f"{stream}_attention_mask"] = (torch.arange(values.shape[1]) < lengths[:, None]).long()
    return batch


def our_av_weights(weights):
    """Return the authors' audiovisual weights under the names of our `AudioVisualEncoder`."""
    ours = renamed(weights, STAGE_ONE_NAMES)
    return {key.removeprefix("av_encoder."): value for key, value in ours.items() if key.startswith("av_encoder.")}


def text_config_of(description):
    """Return the configuration of the language model."""
    values = dict(description["language_model"])
    kind = GPT2Config if values.pop("architecture").startswith("GPT2") else LlamaConfig
    return kind(**values, pad_token_id=None)


def deepmlf_fields(description):
    """Return the fields of a DeepMLFConfig with which the authors' description is met."""
    described, weights = description["deepmlf"], description["loss_weights"]
    lora = described.get("lora", {"r": 0, "lora_alpha": 0})
    return av_fields(description) | {
        "text_config": text_config_of(description).to_dict(),
        "fusion_layers": described["mm_layer"],
        "num_fusion_tokens": described["n_bn_fusion"],
        "num_attention_heads": described["n_head"],
        "classifier_hidden_size": described["d_out"],
        "lora_rank": lora["r"],
        "lora_scale": lora["lora_alpha"] / max(lora["r"], 1),
        "lm_loss_weight": weights["gamma"],
        "fusion_loss_weight": weights["l_bn"],
        "av_loss_weight": weights["l_av"],
        "text_loss_weight": weights["l_t"],
    }


def our_weights(weights):
    """Return the authors' weights under the names of our `DeepMLFForSequenceClassification`."""
    # All these language models share one table for both ends.
    return {key: value for key, value in renamed(weights, STAGE_TWO_NAMES).items() if key != "lm_head.weight"}
