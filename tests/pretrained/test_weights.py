"""Weights are the same whatever files they lie in, and others when a name, a shape, a dtype or a value is another."""

import pytest
import torch
from safetensors.torch import save_file

from hf_msa.pretrained.weights import weights_sha256

WEIGHTS = {"a": torch.arange(4.0), "b": torch.ones((), dtype=torch.bfloat16), "c": torch.zeros(0, 2)}


def sha256(folder, *files):
    folder.mkdir()
    for number, weights in enumerate(files):
        save_file(weights, folder / f"model-{number}.safetensors", metadata={"file": str(number)})
    return weights_sha256(folder)


def test_shards_are_the_same_as_a_whole(tmp_path):
    shards = [{name: WEIGHTS[name]} for name in ("c", "a", "b")]
    assert sha256(tmp_path / "whole", WEIGHTS) == sha256(tmp_path / "shards", *shards)


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor([0.0, 1.0, 2.0, 4.0])},
        {"a": torch.arange(4.0).view(2, 2)},
        {"a": torch.arange(4.0).view(torch.int32)},
        {"d": torch.zeros(1)},
    ],
)
def test_a_difference_shows(tmp_path, other):
    assert sha256(tmp_path / "one", WEIGHTS) != sha256(tmp_path / "other", WEIGHTS | other)
