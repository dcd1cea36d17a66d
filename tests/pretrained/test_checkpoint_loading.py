"""What is no checkpoint is refused at once, before a Hub is asked for it."""

import pytest

from hf_msa.pretrained.checkpoint import check_place


@pytest.mark.parametrize("name", ["runs/nowhere", "/nowhere", "./nowhere", "a/b/c", "nowhere"])
def test_a_folder_that_is_not_there_is_named(name):
    with pytest.raises(
        ValueError, match=rf"model: expected a folder or a repository \(user/name\), got '{name}'; look"
    ):
        check_place("model", name, "; look")


@pytest.mark.parametrize(("name", "may_be_bare"), [("user/name", False), ("gpt2", True)])
def test_what_may_be_a_repository_passes(name, may_be_bare):
    check_place("model", name, may_be_bare=may_be_bare)


def test_a_folder_that_is_there_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    check_place("model", "runs/mine")
