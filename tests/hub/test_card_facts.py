"""A text model that lies in a folder is nobody's repository."""

from types import SimpleNamespace

import pytest

from hf_msa.hub.card_facts import text_model_repository


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("somebody/text-model", "somebody/text-model"),
        ("gpt2", "gpt2"),
        (None, None),
        ("mine/text", None),  # a folder that is there
        ("runs/gone", None),  # what begins with runs/ is a folder from anywhere
        ("../text", None),
        ("a/b/c", None),
    ],
)
def test_a_repository_is_told_from_a_folder(tmp_path, monkeypatch, name, expected):
    (tmp_path / "mine" / "text").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert text_model_repository(SimpleNamespace(text_model_name_or_path=name)) == expected
