"""What a file is, by its first bytes, whatever its name says: so that a wrong one is refused by name."""

from pathlib import Path

from hf_msa.errors import CorpusError

_PAGE = ("a web page, as a failed download leaves it", "download the file again")
# First bytes without space before them, in lower case: what that is, and what to do about it.
_TEXTS = {
    b"version https://git-lfs": (
        "a Git LFS pointer, which stands for a file that was not downloaded",
        "run git lfs pull",
    ),
    b"<!doctype html": _PAGE,
    b"<html": _PAGE,
    b"<?xml": _PAGE,
}
_TORCH = ("a file of torch.save", "load it in torch and write a plain dict by pickle.dump")
_ARCHIVE = "unpack it first"
# First bytes as they are: the kind of file, what that is, and what to do about it.
_BINARIES = {
    b"PAR1": ("parquet", "a Parquet file", "give it a name that ends in .parquet"),
    b"\x89HDF\r\n\x1a\n": ("hdf5", "an HDF5 file", "give the folder of the .csd files, or an MMSA pickle"),
    b"\x93NUMPY": ("array", "an array of numpy (.npy)", "give a corpus: a pickle, a table or a folder"),
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": ("torch", *_TORCH),
    b"ARROW1": ("arrow", "an Arrow file", "write it as Parquet"),
    b"\x1f\x8b": ("archive", "a gzip archive", _ARCHIVE),
    b"BZh": ("archive", "a bzip2 archive", _ARCHIVE),
    b"\xfd7zXZ": ("archive", "an xz archive", _ARCHIVE),
    b"7z\xbc\xaf": ("archive", "a 7z archive", _ARCHIVE),
    b"Rar!": ("archive", "a RAR archive", _ARCHIVE),
    b"(\xb5/\xfd": ("archive", "a Zstandard archive", _ARCHIVE),
}
# A zip archive goes by its name, since many formats are one.
_ZIPS = {
    ".npz": ("an archive of numpy (.npz)", "load it in numpy and write a plain dict by pickle.dump"),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".bin": _TORCH,
    ".xlsx": ("an Excel workbook", "save it as CSV"),
}
_LONGEST = 64


def check_kind(path: Path, expected: str) -> None:
    """Refuse a file whose first bytes say that it is of another kind.

    Args:
        path: The file.
        expected: "pickle", "text", "parquet" or "hdf5".

    Raises:
        CorpusError: It says what the file is, and what to do.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for first, (what, remedy) in _TEXTS.items():
        if text.startswith(first):
            raise _wrong(path, expected, what, remedy)
    for first, (kind, what, remedy) in _BINARIES.items():
        if kind != expected and start.startswith(first):
            raise _wrong(path, expected, what, remedy)
    if start.startswith(b"PK\x03\x04"):
        raise _wrong(path, expected, *_ZIPS.get(path.suffix.lower(), ("a zip archive", "unpack it first")))
    if expected == "pickle" and path.suffix.lower() in (".json", ".jsonl", ".tsv", ".txt"):
        raise _wrong(path, expected, f"a text file ({path.suffix})", "write a table as CSV: text, label, split")


def is_parquet_file(path: Path) -> bool:
    """Return whether a file begins as a Parquet file does."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _wrong(path: Path, expected: str, what: str, remedy: str) -> CorpusError:
    wanted = {"pickle": "a pickle", "text": "a text file", "parquet": "a Parquet file", "hdf5": "an HDF5 file (.csd)"}
    return CorpusError(f"{path}: expected {wanted[expected]}, got {what}; {remedy}")


__all__ = ["check_kind", "is_parquet_file"]
