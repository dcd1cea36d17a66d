"""What a model that was exported needs beside its graph runs where torch and transformers are not."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import importlib, json, sys
import numpy as np
from hf_msa.models import alignment_msa, errors_msa, frames_msa, streams_msa
words = alignment_msa.read_words([("GROSS", 0.0, 1.0), ("it", 1.0, 2.0)])
spans = alignment_msa.find_words("gro\\u00df it", words)
times, _ = alignment_msa.fill_times(words, 2.0)
intervals = alignment_msa.token_intervals(alignment_msa.words_of_tokens([(0, 0), (0, 4), (5, 7)], spans), times)
frames, num_broken = frames_msa.normalise_frames(
    np.array([[3.0], [np.nan]], dtype=np.float32), {"mean": [1.0], "std": [2.0]}
)
values, mask = alignment_msa.align_frames(frames, intervals, 1.0)
print(json.dumps({
    "values": values.tolist(), "mask": mask.tolist(), "broken": num_broken, "streams": streams_msa.STREAMS,
    "loaded": [name for name in ("torch", "transformers", "pandas", "datasets") if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def result():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_alignment_and_normalisation_import_neither_torch_nor_transformers(result):
    assert result["loaded"] == []
    assert result["streams"] == ["text", "audio", "visual"]


def test_alignment_and_normalisation_work_there(result):
    assert result["values"] == [[0.0], [1.0], [0.0]]
    assert result["mask"] == [0, 1, 1]
    assert result["broken"] == 1
