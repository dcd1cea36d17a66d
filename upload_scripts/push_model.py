"""Publish a trained PGF-Net: the folder of a run of `hf-msa train`, or any checkpoint.

    hf auth login
    python upload_scripts/push_pgf_net.py runs/pgf_net_sample user/name

The repository is private until you open it. The same from the shell: `hf-msa publish FOLDER user/name --private`.
"""

import sys

from hf_msa import PGFNetConfig
from hf_msa.hub import publish

folder, repository = sys.argv[1:]
PGFNetConfig.from_pretrained(folder)  # refuses a checkpoint of another model
print(publish(folder, repository, private=True).url)
