"""Put published models into a collection, which is made where it does not exist.

    python upload_scripts/push_collection.py "Multimodal sentiment" user/pgf_net user/agfn

The collection is private until you open it.
"""

import sys

from huggingface_hub import HfApi

title, *repositories = sys.argv[1:]
api = HfApi()
collection = api.create_collection(title, private=True, exists_ok=True)
for repository in repositories:
    api.add_collection_item(collection.slug, repository, "model", exists_ok=True)
print(collection.url)
