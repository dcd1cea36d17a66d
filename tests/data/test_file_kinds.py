import gzip
import io
import zipfile

import numpy as np
import pytest
import torch

from hf_msa.data import CorpusError, load_corpus

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
PAGE = b"\n<!DOCTYPE html><html><body>Quota exceeded</body></html>"


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "a")
    return buffer.getvalue()


def saved(**options):
    buffer = io.BytesIO()
    torch.save({"train": torch.zeros(2)}, buffer, **options)
    return buffer.getvalue()


def numpy_bytes(save, *arrays):
    buffer = io.BytesIO()
    save(buffer, *arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pkl", POINTER, "got a Git LFS pointer, .*; run git lfs pull"),
        ("a.csv", POINTER, "got a Git LFS pointer"),
        ("a.parquet", POINTER, "got a Git LFS pointer"),
        ("a.pkl", PAGE, "got a web page, .*; download the file again"),
        ("a.csv", PAGE, "got a web page"),
        ("a.npz", numpy_bytes(np.savez, np.zeros(2)), r"got an archive of numpy \(\.npz\); load it in numpy"),
        ("a.npy", numpy_bytes(np.save, np.zeros(2)), r"got an array of numpy \(\.npy\)"),
        ("a.pt", saved(), "got a file of torch.save; load it in torch"),
        ("a.pth", saved(_use_new_zipfile_serialization=False), "got a file of torch.save"),
        ("a.zip", zipped(), "got a zip archive; unpack it"),
        ("a.xlsx", zipped(), "got an Excel workbook; save it as CSV"),
        ("a.pkl.gz", gzip.compress(b"a"), "got a gzip archive; unpack it"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "got an HDF5 file; give the folder of the .csd files"),
        ("a.json", b"{}", "got a text file"),
        ("label.csv", b"video_id,clip_id,text,label,mode\n", "expected the folder of label.csv, got the file"),
        ("train.parquet", b"PAR1", "expected the folder of train, valid and test, got one of them"),
        ("test-00000-of-00002.parquet", b"PAR1", "expected the folder of train, valid and test"),
        ("dev.csv", b"text,label\n", "expected the folder of train, valid and test"),
    ],
    # Archives hold the time at which they were written, which differs between xdist's processes.
    ids=lambda value: "content" if isinstance(value, bytes) else None,
)
def test_a_file_of_another_kind_is_named_with_what_to_do(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("label.csv", {}),
        (
            "words.json",
            {"label.csv": b"video_id,clip_id,text,label,mode\n1,1,a,0,train\n1,2,a,0,valid\n1,3,a,0,test\n"},
        ),
        ("train.parquet", {}),
        ("train.csv", {"valid.csv": b"text,label\n", "test.csv": b"text,label\n"}),
        ("folds.json", {"labels.csd": b""}),
        ("labels.csd", {"folds.json": b'{"train": ["v"], "valid": ["w"], "test": ["x"]}'}),
    ],
)
def test_a_pointer_is_recognised_wherever_it_lies_in_a_folder(tmp_path, name, others):
    for other, content in others.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(CorpusError, match="got a Git LFS pointer") as caught:
        load_corpus(tmp_path)
    assert name in str(caught.value)
