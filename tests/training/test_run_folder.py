"""The folder of a run touches nothing that somebody else put there."""

import pytest

from hf_msa.errors import MsaError, RecipeError
from hf_msa.training.run_folder import RunFolder
from hf_msa.training.sweep import sweep_recipe

DESCRIPTION = {"recipe": {}, "corpus": {}}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize("name", ["notes.txt", "seeds", "training", "mine.partial"])
def test_a_hidden_folder_of_somebody_is_refused_and_stays(folder, name):
    (folder.unfinished / name).mkdir(parents=True)
    (folder.unfinished / name / "file").write_text("mine")
    with pytest.raises(RecipeError, match=rf"\.run\.unfinished to be free for an unfinished run, got {name} there"):
        folder.begin(DESCRIPTION, resume=False)
    assert (folder.unfinished / name / "file").read_text() == "mine"


def test_a_file_with_the_name_of_the_hidden_folder_is_refused(folder):
    folder.unfinished.write_text("mine")
    with pytest.raises(RecipeError, match="got a file there"):
        folder.begin(DESCRIPTION, resume=False)
    assert folder.unfinished.read_text() == "mine"


def test_what_somebody_puts_into_the_hidden_folder_meanwhile_stays(folder):
    folder.begin(DESCRIPTION, resume=False)
    (folder.unfinished / "notes.txt").write_text("mine")
    (folder.checkpoint(3)).mkdir(parents=True)
    folder.discard()
    assert names(folder.unfinished) == ["notes.txt"]


def test_what_a_killed_run_left_before_it_began_is_taken_away(folder):
    folder.unfinished.mkdir()
    (folder.unfinished / ".run.json.partial").write_text("{")
    folder.begin(DESCRIPTION, resume=False)
    assert names(folder.unfinished) == ["run.json"]


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_file_of_somebody_that_has_the_name_of_the_lock_stays(folder, tmp_path, kind):
    lock = tmp_path / ".run.lock"
    if kind == "file":
        lock.write_text("mine")
    elif kind == "link":
        lock.symlink_to(tmp_path / "nowhere")
    else:
        lock.mkdir()
    with pytest.raises(RecipeError, match=r"\.run\.lock to be free for a lock"), folder.lock():
        pass
    assert names(tmp_path) == [".run.lock"]


def test_a_lock_that_a_killed_run_left_is_taken_over(folder, tmp_path):
    (tmp_path / ".run.lock").touch()
    with folder.lock():
        pass
    assert not names(tmp_path)


@pytest.mark.parametrize("content", ['{"mine": 1}', "mine", "[]"])
def test_a_file_that_has_the_name_of_a_sweeps_table_is_refused_before_the_first_run(tmp_path, content):
    (tmp_path / "recipe.yaml").write_text("model_type: pgf_net\n")
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(MsaError, match=r"the table of an older sweep in .*sweep\.json, got something else"):
        sweep_recipe(tmp_path / "recipe.yaml", ["seeds=[1],[2]"], output=tmp_path)
    assert names(tmp_path) == ["recipe.yaml", "sweep.json"]
    assert (tmp_path / "sweep.json").read_text() == content
