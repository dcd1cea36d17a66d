"""Publish a trained model: the folder of a run of `hf-msa train`, or any checkpoint.

    hf auth login
    python upload_scripts/push_model.py runs/pgf_net_sample user/name

The repository is private until you open it. The same from the shell: `hf-msa publish FOLDER user/name --private`.
"""

import sys

from hf_msa.hub import publish

folder, repository = sys.argv[1:]
print(publish(folder, repository, private=True).url)
