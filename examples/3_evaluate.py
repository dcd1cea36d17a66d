"""Measure a checkpoint on a corpus, and look at where it is wrong.

    hf-msa train examples/configs/pgf_net_sample.yaml --seeds 1
    python examples/3_evaluate.py runs/pgf_net_sample

The same from the shell: `hf-msa evaluate runs/pgf_net_sample --corpus sample --split test`.
"""

import sys

from hf_msa import PGFNetForSequenceClassification, PGFNetProcessor
from hf_msa.data import load_corpus
from hf_msa.data.sample_corpus import load_sample_corpus
from hf_msa.evaluation import mosi_metrics, predict_rows

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/pgf_net_sample"
rows = (load_corpus(sys.argv[2]) if len(sys.argv) > 2 else load_sample_corpus())["test"]
model = PGFNetForSequenceClassification.from_pretrained(folder)
processor = PGFNetProcessor.from_pretrained(folder)

found = predict_rows(model, processor, rows)
for name, value in mosi_metrics(found.scores, found.labels).items():
    print(f"{name:>10} {value:.4f}")

print("\nfarthest off:")
for i in found.errors().argsort()[::-1][:5]:
    print(f"{found.scores[i]:+.2f} (true {found.labels[i]:+.1f})  {rows[int(i)]['text']}")
