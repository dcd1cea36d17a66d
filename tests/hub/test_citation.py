"""A paper is cited as BibTeX from its fields, and a model without one says so."""

import pytest

from hf_msa.hub.citation import bibtex, cite
from hf_msa.models.configuration_msa import Paper

PAPER = Paper("A-Net", "A-Net: A Net", ("Han Wu", "Derek F. Wong"), 2025, "2510.01677", ())


def test_a_paper_is_cited_with_a_link_and_bibtex():
    assert bibtex(PAPER) == (
        "@misc{wu2025anet,\n  title = {A-Net: A Net},\n  author = {Han Wu and Derek F. Wong},\n  year = {2025},\n"
        "  eprint = {2510.01677},\n  archivePrefix = {arXiv}\n}"
    )
    assert cite(PAPER).startswith("[arXiv 2510.01677](https://arxiv.org/abs/2510.01677)\n\n```bibtex\n@misc{")


@pytest.mark.parametrize("author", ["Wong, Derek F.", "Derek F. Wong"])
def test_the_key_has_the_family_name_however_it_is_written(author):
    assert bibtex(PAPER._replace(authors=(author,))).startswith("@misc{wong2025anet,")


def test_a_model_without_a_paper_says_so():
    assert cite(None).startswith("No paper describes this model")
