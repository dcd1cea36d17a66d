"""A license is never freer than the terms of what was trained on."""

import pytest

from hf_msa.hub.terms import choose_license, freedom, license_problems, terms_of


def test_the_least_free_terms_of_all_parts_decide():
    assert [entry.corpus for entry in terms_of("composite/aligned_50.pkl")] == ["CMU-MOSI", "RAVDESS"]
    assert choose_license(terms_of("composite")) == "other"
    assert choose_license(terms_of("RAVDESS")) == "cc-by-nc-sa-4.0"
    assert choose_license(terms_of("somebody's")) == "other"
    order = ["other", "cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "apache-2.0"]
    assert [freedom(license) for license in order] == [0, 1, 2, 3, 4]
    assert "got cc-by-nc-4.0" in license_problems("cc-by-nc-4.0", terms_of("RAVDESS"))[0]
    assert not license_problems("other", terms_of("composite"))
    assert [line.split("that of ")[1] for line in license_problems("cc-by-nc-sa-4.0", terms_of("composite"))] == [
        "CMU-MOSI (other), got cc-by-nc-sa-4.0"
    ]
    assert not license_problems("mit", [*terms_of("sample"), *terms_of("mine")])


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("CMUMOSI/aligned_50.pkl", "CMU-MOSI"),
        ("cmu-mosei", "CMU-MOSEI"),
        ("SIMSv2", "CH-SIMS"),
        ("chsims", "CH-SIMS"),
        ("ravdess2/speech", "RAVDESS"),
        ("sample", "sample"),
        ("clips/sample", None),  # somebody's own
        ("maxims", None),
    ],
)
def test_a_corpus_is_known_by_its_usual_names(corpus, expected):
    assert [entry.corpus for entry in terms_of(corpus)] == ([] if expected is None else [expected])
