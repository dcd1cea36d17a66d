"""A checkpoint folder is written whole or not at all."""

import pytest

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
    (folder / "stale.py").write_text("old")
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
