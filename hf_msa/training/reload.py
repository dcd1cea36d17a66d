"""Load a saved folder where hf_msa is not imported and print predictions; the demo runs this in a fresh process.

Usage: python reload.py FOLDER UTTERANCES.jsonl
"""

import json
import sys
from pathlib import Path

import numpy as np
from transformers import pipeline


def main(folder: str, lines: str) -> None:
    """Write one JSON line per utterance of a file to standard output."""
    pipe = pipeline("multimodal-sentiment-analysis", model=folder, trust_remote_code=True)
    for line in Path(lines).read_text(encoding="utf-8").splitlines():
        utterance = json.loads(line)
        for stream in ("audio", "visual"):
            if utterance.get(stream) is not None:
                utterance[stream] = np.load(Path(lines).parent / utterance[stream])
        sys.stdout.write(json.dumps(pipe(utterance, explain=True)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
