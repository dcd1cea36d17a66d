"""`python -m hf_msa`, the same as `hf-msa`; also what `torchrun -m hf_msa train RECIPE` runs."""

from .cli import app

app()
