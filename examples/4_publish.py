"""Publish a checkpoint, then load it as anybody else would, pinned to the commit that was just made.

    hf auth login
    python examples/4_publish.py runs/pgf_net_sample user/name

The same from the shell: `hf-msa publish runs/pgf_net_sample user/name --private`. With `--dry-run` it only checks, and
prints the files and the card that would go out.
"""

import sys

from transformers import pipeline

from hf_msa.hub import PublishError, publish

folder, repository = sys.argv[1:]
try:
    published = publish(folder, repository, private=True)
except PublishError as error:
    sys.exit("\n".join(error.problems))
for name, size in published.files.items():
    print(f"{size:>14,}  {name}")
print(published.url)

# `trust_remote_code=True` runs the code of a repository, so say which: a commit cannot be changed afterwards.
pipe = pipeline("multimodal-sentiment-analysis", model=repository, revision=published.commit, trust_remote_code=True)
print(pipe({"text": "i loved it"}))
