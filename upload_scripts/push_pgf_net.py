"""Push a trained PGF-Net folder to the Hub: weights, code, processor.

    python upload_scripts/push_pgf_net.py runs/demo user/name

The token comes from `hf auth login`. The repository is private until you open it.
"""

import sys

from hf_msa import PGFNetForSequenceClassification, PGFNetProcessor

folder, repository = sys.argv[1:]
model = PGFNetForSequenceClassification.from_pretrained(folder)
processor = PGFNetProcessor.from_pretrained(folder)
model.push_to_hub(repository, private=True)
processor.push_to_hub(repository, private=True)
print(f"pushed {folder} to {repository}")
