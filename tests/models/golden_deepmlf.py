"""The golden vectors of the authors' code, and their weights under our names."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, LlamaConfig

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
    ours = {}
    names = {"linear1": "up", "linear2": "down", "norm1": "norm1", "norm2": "norm2", "self_attn.out_proj": "output"}
    for letter, stream in (("a", "audio"), ("v", "visual")):
        for key, value in weights.items():
            if key.startswith(f"BN_{letter}."):
                ours[f"{stream}.batch_norm.{key.split('.')[1]}"] = value
            elif key == f"proj_{letter}.weight":
                ours[f"{stream}.proj.weight"] = value
            elif key.startswith(f"enc_{letter}.layers."):
                _, _, number, *rest, kind = key.split(".")
                place, name = f"{stream}.layers.{number}", ".".join(rest)
                if kind.startswith("in_proj"):
                    for part, chunk in zip(("query", "key", "value"), value.chunk(3), strict=True):
                        ours[f"{place}.{part}.{kind.removeprefix('in_proj_')}"] = chunk.contiguous()
                else:
                    ours[f"{place}.{names[name]}.{kind}"] = value
    return ours | {f"fusion.{kind}": weights[f"fusion.{kind}"] for kind in ("weight", "bias")}


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


def our_weights(weights, fusion_layers):
    """Return the authors' weights under the names of our `DeepMLFForSequenceClassification`."""
    ours, blocks = {}, {layer: number for number, layer in enumerate(fusion_layers)}
    av = {key.removeprefix("av_encoder."): value for key, value in weights.items() if key.startswith("av_encoder.")}
    ours |= {f"deepmlf.av_encoder.{key}": value for key, value in our_av_weights(av).items()}
    heads = {"LN": "deepmlf.av_norm", "W_bn": "fusion_head", "W_text": "text_head", "W_av": "av_head"}
    heads |= {"W_task.0": "classifier.hidden", "W_task.1": "classifier.norm", "W_task.3": "classifier.output"}
    block_names = {
        "ln_1": "attention_norm",
        "ln_2": "feed_forward_norm",
        "alpha_1": "attention_gate.alpha",
        "alpha_2": "feed_forward_gate.alpha",
        "attn.W_q": "cross_attention.query",
        "attn.W_kv": "cross_attention.key_value",
        "attn.W_o": "cross_attention.output",
        "mlp.c_fc": "feed_forward.up",
        "mlp.c_proj": "feed_forward.down",
    }
    for part in ("gate", "up", "down"):
        block_names[f"mlp.{part}_proj"] = block_names[f"mlp.lora_{part}_proj"] = f"feed_forward.{part}"
    for key, value in weights.items():
        for theirs, own in heads.items():
            if key.startswith(theirs + "."):
                ours[own + key.removeprefix(theirs)] = value
        inner = key.removeprefix("lang_encoder.transformer.").removeprefix("lang_encoder.model.")
        if inner == key:
            continue
        place = "deepmlf.text_encoder."
        if ".ca_layer." in inner:
            layer, name = inner.split(".ca_layer.")
            known = max((theirs for theirs in block_names if name.startswith(theirs)), key=len)
            place = f"deepmlf.fusion_blocks.{blocks[int(layer.split('.')[1])]}."
            ours[place + block_names[known] + name.removeprefix(known)] = value
        elif inner.endswith("bn_embedding"):
            ours["deepmlf.fusion_tokens.embedding"] = value
        else:
            for theirs, own in ((".0.embedding.", "."), (".0.positional.", "."), (".decoder_layer.", ".")):
                inner = inner.replace(theirs, own)
            ours[place + inner] = value
    return ours
