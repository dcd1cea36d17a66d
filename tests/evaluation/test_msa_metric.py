import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hf_msa.evaluation
from hf_msa.evaluation import mosi_metrics, sims_metrics
from hf_msa.evaluation.msa_metric import MsaMetric

EVALUATION = Path(hf_msa.evaluation.__file__).parent
PREDICTIONS, REFERENCES = [0.3, -0.75, 1.0, 0.1], [0.2, -1.0, 0.6, -0.2]


@pytest.fixture
def metric():
    return MsaMetric(keep_in_memory=True)


# Run elsewhere, with a fresh cache, without sockets and without hf_msa: evaluate copies what the file needs.
LOAD = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.modules["hf_msa"] = None
import evaluate

metric = evaluate.load(sys.argv[1])
predictions, references = json.loads(sys.argv[2])
scores = {corpus: metric.compute(predictions=predictions, references=references, corpus=corpus)
          for corpus in ("mosi", "sims")}
json.dump({"module": type(metric).__module__, "name": metric.name, **scores}, sys.stdout)
"""


@pytest.mark.slow
def test_evaluate_loads_the_file_without_a_network_or_the_package(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", LOAD, EVALUATION / "msa_metric.py", json.dumps([PREDICTIONS, REFERENCES])],
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    loaded = json.loads(found.stdout)
    assert loaded["module"].startswith("evaluate_modules.")  # the copy in the cache, not the file itself
    assert loaded["name"] == "msa_metric"
    assert loaded["mosi"] == mosi_metrics(PREDICTIONS, REFERENCES)
    assert loaded["sims"] == sims_metrics(PREDICTIONS, REFERENCES)


@pytest.mark.parametrize(("corpus", "function"), [("mosi", mosi_metrics), ("sims", sims_metrics)])
def test_the_metric_gives_the_scores_of_its_corpus(metric, corpus, function):
    expected = function(PREDICTIONS, REFERENCES)
    assert metric.compute(predictions=PREDICTIONS, references=REFERENCES, corpus=corpus) == expected
    arrays = {"predictions": np.array(PREDICTIONS), "references": np.array(REFERENCES)}
    assert metric.compute(**arrays, corpus=corpus) == expected


def test_the_corpus_is_mosi_unless_said_otherwise(metric):
    scores = metric.compute(predictions=PREDICTIONS, references=REFERENCES)
    assert scores == mosi_metrics(PREDICTIONS, REFERENCES)


def test_batches_add_up(metric):
    for start in (0, 2):
        batch = slice(start, start + 2)
        metric.add_batch(predictions=PREDICTIONS[batch], references=REFERENCES[batch])
    assert metric.compute(corpus="sims") == sims_metrics(PREDICTIONS, REFERENCES)


def test_an_unknown_corpus_is_refused(metric):
    with pytest.raises(ValueError, match='corpus must be "mosi" or "sims", got \'iemocap\''):
        metric.compute(predictions=PREDICTIONS, references=REFERENCES, corpus="iemocap")


def test_nan_is_refused_as_in_the_functions(metric):
    with pytest.raises(ValueError, match=r"predictions\[1\] is nan, expected a finite number"):
        metric.compute(predictions=[0.0, math.nan], references=[0.0, 1.0])


def test_the_metric_describes_its_inputs_and_outputs(metric):
    assert set(metric.features) == {"predictions", "references"}
    for key in {**mosi_metrics([0.0], [1.0]), **sims_metrics([0.0], [1.0])}:
        assert key in metric.inputs_description
