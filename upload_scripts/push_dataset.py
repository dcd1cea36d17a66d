"""Publish a corpus that `hf-msa convert` wrote, as Parquet with a card that states its terms.

python upload_scripts/push_dataset.py corpora/mosi user/mosi mosi           # private
python upload_scripts/push_dataset.py corpora/mine user/mine mine --public  # asks for your rights first
"""

import sys

from hf_msa.hub import publish_corpus

folder, repository, corpus, *rest = sys.argv[1:]
public = "--public" in rest
confirmed = public and input(f"May you pass {corpus} on to everybody? Type yes: ") == "yes"
print(publish_corpus(folder, repository, corpus, private=not public, rights_confirmed=confirmed).url)
