import os

import pytest

from hf_msa.errors import MsaError
from hf_msa.files import check_output_file, growing_file, replace_folder, without_folders, write_file


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/ann/corpora/mosi", "corpora/mosi"),
        ("corpora/mosi", "corpora/mosi"),
        ({"a": ["/x/y/z", 1, None]}, {"a": ["y/z", 1, None]}),
        (("/x/y/z",), ["y/z"]),
    ],
)
def test_of_an_absolute_path_others_see_the_last_two_parts(value, shown):
    assert without_folders(value) == shown


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("fails", [False, True])
def test_a_hidden_file_of_somebody_is_neither_written_nor_deleted(tmp_path, fails):
    (tmp_path / ".x.partial").write_text("mine")
    (tmp_path / "x.partial").write_text("mine")
    try:
        with growing_file(tmp_path / "x") as file:
            file.write("new")
            assert names(tmp_path) == [".x.2.partial", ".x.partial", "x.partial"]
            if fails:
                raise OSError("No space left on device")
    except OSError:
        assert fails
    assert names(tmp_path) == [".x.partial", *([] if fails else ["x"]), "x.partial"]
    assert (tmp_path / ".x.partial").read_text() == (tmp_path / "x.partial").read_text() == "mine"


def test_a_link_stays_and_its_file_keeps_who_may_read_it(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_no_place_for_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MsaError, match=r"output: expected a file in a folder that exists, got .*pipe"):
        check_output_file(tmp_path / "pipe", tmp_path / "utterances.jsonl")


def test_a_folder_is_put_back_when_the_new_one_cannot_take_its_place(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match="nowhere"):
        replace_folder(tmp_path / "nowhere", tmp_path / "old")
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old" / "notes.txt").read_text() == "mine"


def test_of_a_linked_folder_the_link_alone_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("old")
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "fresh").mkdir()
    replace_folder(tmp_path / "fresh", tmp_path / "link")
    assert names(tmp_path) == ["link", "there"]
    assert names(tmp_path / "there") == ["config.json"]
