"""Score utterances with a trained checkpoint, through transformers alone.

    python examples/1_predict.py runs/demo
    python examples/1_predict.py user/name 5f3c1e0   # a repository, pinned to a commit whose code you have looked at

The folder is one that `hf-msa demo` saved; hf_msa need not be installed.
"""

import sys

import numpy as np
from transformers import pipeline

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/demo"
revision = sys.argv[2] if len(sys.argv) > 2 else None
pipe = pipeline("multimodal-sentiment-analysis", model=folder, revision=revision, trust_remote_code=True)

# Frames of audio and visual features with their rates; here random ones, for a model of 25 and 17 columns.
generator = np.random.default_rng(0)
spoken = {
    "text": "i loved it",
    "words": [("i", 0.0, 0.2), ("loved", 0.2, 0.7), ("it", 0.7, 0.9)],
    "audio": generator.normal(size=(18, 25)),
    "visual": generator.normal(size=(9, 17)),
    "audio_rate": 20.0,
    "visual_rate": 10.0,
}
silent = {"text": "what a waste of time"}

for result in pipe([spoken, silent], explain=True):
    print(f"{result['score']:+.2f} {result['label']}")
    print("  shares:", {stream: round(share, 2) for stream, share in result["shares"].items()})
    print("  text per word:", {word["word"]: round(word["text_share"], 2) for word in result["words"]})
