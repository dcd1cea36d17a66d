"""The identity of a checkpoint's weights."""

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 of all weights of a checkpoint, by name; the same however they are split into files.

    Args:
        folder: With safetensors files.
    """
    digests = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                tensor = weights.get_tensor(name)
                digest = hashlib.sha256(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
                digests[name] = digest.digest()
    return hashlib.sha256(b"".join(digests[name] for name in sorted(digests))).hexdigest()


__all__ = ["weights_sha256"]
