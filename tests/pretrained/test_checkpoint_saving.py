"""A checkpoint folder is written whole or not at all."""

import pytest

from hf_msa.errors import MsaError, MsaWarning
from hf_msa.pretrained.checkpoint import check_output, save_checkpoint


class Saved:
    """Writes one file, or fails before it."""

    def __init__(self, name, fails=False):
        self.name, self.fails = name, fails

    def save_pretrained(self, folder):
        if self.fails:
            raise OSError("No space left on device")
        (folder / self.name).write_text("new")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_checkpoint_takes_the_place_of_an_older_one(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("old")
    (folder / "layers_pgf_net.py").write_text("old")
    save_checkpoint(Saved("config.json"), Saved("processor_config.json"), folder)
    assert names(folder) == ["config.json", "processor_config.json"]
    assert (folder / "config.json").read_text() == "new"
    assert names(tmp_path) == ["checkpoint"]


def test_a_full_disk_leaves_the_older_checkpoint_and_nothing_else(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("old")
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(Saved("config.json"), Saved("processor_config.json", fails=True), folder)
    assert (folder / "config.json").read_text() == "old"
    assert names(tmp_path) == ["checkpoint"]


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"output: expected a folder that can be written to, got .*file/below"):
        check_output(tmp_path / "file" / "below")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output: expected a new or empty folder"):
        check_output(tmp_path / "file")


def test_an_older_checkpoint_may_be_written_over(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "pgf_net"}')
    check_output(tmp_path)
    assert names(tmp_path) == ["config.json"]


@pytest.mark.parametrize("content", ['{"model_type": "bert"}', "{}", "[1]", "{"])
def test_a_checkpoint_of_another_model_is_not_written_over(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="output: expected a new or empty folder or an older checkpoint"):
        check_output(tmp_path)


FOREIGN = [
    "notes.txt",
    "pytorch_model.bin",
    "seeds/1111/notes.txt",
    "logs/table.csv",
    "data/label.csv",
    ".git/config",
    "modeling_of_mine.py",
]


def write_old(folder):
    """An older run with everything that one holds."""
    for name in (
        "config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "modeling_pgf_net.py",
        "results.json",
        "predictions.parquet",
        "seeds/1111/model-00001-of-00002.safetensors",
        "seeds/1111/model.safetensors.index.json",
        "logs/1111/history.jsonl",
        "logs/1111/events.out.tfevents.17.host.1.0",
        ".DS_Store",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"model_type": "pgf_net"}')
    return folder


def test_an_older_run_with_all_that_it_holds_may_be_written_over(tmp_path):
    check_output(write_old(tmp_path / "run"))


@pytest.mark.parametrize("name", FOREIGN)
def test_a_run_beside_which_somebody_put_something_is_refused_by_its_name(tmp_path, name):
    folder = write_old(tmp_path / "run")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(MsaError, match=rf"output: expected nothing beside the older checkpoint.*got {name}; move it"):
        check_output(folder)
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["data", "elsewhere"])
def test_an_empty_folder_and_a_link_of_somebody_are_refused_too(tmp_path, name):
    folder = write_old(tmp_path / "run")
    (tmp_path / "there").mkdir()
    (folder / "data").mkdir() if name == "data" else (folder / "elsewhere").symlink_to(tmp_path / "there")
    with pytest.raises(MsaError, match=f"got {name}; move it"):
        check_output(folder)


def test_what_somebody_puts_there_meanwhile_is_kept_beside_and_said(tmp_path):
    folder = write_old(tmp_path / "run")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "run.older").write_text("taken")
    with pytest.warns(MsaWarning, match=r"got notes\.txt; all that lay there is in .*run\.older2 now"):
        save_checkpoint(Saved("config.json"), Saved("processor_config.json"), folder)
    assert names(folder) == ["config.json", "processor_config.json"]
    assert (tmp_path / "run.older2" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "run.older").read_text() == "taken"
    assert names(tmp_path) == ["run", "run.older", "run.older2"]
