"""How the paper of a model is cited."""

import re

from hf_msa.models.configuration_msa import Paper


def cite(paper: Paper | None) -> str:
    """Return a link and BibTeX, or for a model without a paper a sentence that says so.

    Args:
        paper: Paper of the model, if there is one.
    """
    if paper is None:
        return "No paper describes this model: it is hf_msa's own, there is nothing to cite but the package."
    return f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})\n\n```bibtex\n{bibtex(paper)}\n```"


def bibtex(paper: Paper) -> str:
    """Return the entry of a paper, under the first author's family name, the year and the model's name.

    Args:
        paper: Whose authors stand as "Family, Given" or "Given Family".
    """
    family, comma, _ = paper.authors[0].partition(",")
    family = family if comma else family.split()[-1]
    key = re.sub(r"[^a-z0-9]", "", f"{family}{paper.year}{paper.name}".lower())
    fields = {
        "title": paper.title,
        "author": " and ".join(paper.authors),
        "year": paper.year,
        "eprint": paper.arxiv,
        "archivePrefix": "arXiv",
    }
    return f"@misc{{{key},\n" + ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items()) + "\n}"


__all__ = ["bibtex", "cite"]
