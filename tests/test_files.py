import pytest

from hf_msa.files import without_folders


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
