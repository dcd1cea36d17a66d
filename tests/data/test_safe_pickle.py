import collections
import contextlib
import io
import os
import pickle
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_msa.data.rows import CorpusError
from hf_msa.data.safe_pickle import UnsafePickleError, load_pickle

PROTOCOLS = range(6)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *args):
        self.reduced = (function, args)

    def __reduce__(self):
        return self.reduced


@pytest.fixture
def load(tmp_path):
    def load_bytes(content):
        path = tmp_path / "corpus.pkl"
        path.write_bytes(content)
        return load_pickle(path)

    return load_bytes


@pytest.fixture
def marker(tmp_path):
    path = tmp_path / "executed"
    yield path
    assert not path.exists(), "the pickle ran"


ARRAYS = {
    "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(5, dtype=">i4"),
    "bool": np.array([True, False]),
    "strings": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "objects": np.array(["one", None, 3], dtype=object),
    "none": np.zeros((0, 5), np.float16),
    "scalar": np.array(2.5),
    "infinite": np.array([-np.inf, np.nan], np.float32),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(load, name, protocol, core):
    array = ARRAYS[name]
    content = pickle.dumps(array, protocol)
    if protocol != 4 and core == "numpy.core":
        content = content.replace(b"numpy._core", b"numpy.core")  # framed protocols store the length of the name
        content = content.replace(b"\x8c\x16numpy.core.", b"\x8c\x15numpy.core.")
        content = content.replace(b"\x8c\x13numpy.core.numeric", b"\x8c\x12numpy.core.numeric")
        if protocol == 5 and content[2:3] == b"\x95":
            content = content[:2] + content[11:]  # a frame is optional, and its length would no longer be right
    found = load(content)
    assert type(found) is np.ndarray
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_containers_and_numbers_come_back_as_they_were(load, protocol):
    value = {
        "list": [1, 2.5, "ä", None, True, 2**70],
        "set": {1, 2},
        "frozen": frozenset([3]),
        "bytes": b"\x00\xff",
        "tuple": ((), (1,), (1, 2, 3, 4)),
        "array": bytearray(b"ab"),
        "scalars": [np.float32(0.5), np.int64(7), np.str_("x"), np.bool_(True)],
        "nested": {"array": np.arange(3)},
    }
    found = load(pickle.dumps(value, protocol))
    np.testing.assert_array_equal(found.pop("nested")["array"], value.pop("nested")["array"])
    assert found == value
    assert load(pickle.dumps(collections.OrderedDict(a=1, b=2), protocol)) == {"a": 1, "b": 2}


def test_strings_of_python_2_are_read(load):
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n"
    array += b"(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\ntb."
    np.testing.assert_array_equal(load(array), np.array([1, 2], np.float32))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda marker: Call(os.system, f"touch {marker}"), "system"),
        (lambda marker: Call(eval, f"open({str(marker)!r}, 'w')"), "eval"),
        (lambda marker: Call(exec, f"open({str(marker)!r}, 'w')"), "exec"),
        (lambda marker: Call(open, str(marker), "w"), "open"),
        (lambda marker: Call(getattr, Call(__import__, "os"), "system"), "getattr|__import__"),
        (lambda marker: Call(subprocess.Popen, ["touch", str(marker)]), "Popen"),
        (lambda marker: Call(np.load, str(marker), None, True), "load"),
        (lambda marker: {"train": {"id": [Call(os.system, f"touch {marker}")]}}, "system"),
        (lambda marker: Call(list, (Call(os.system, f"touch {marker}"),)), "system"),
        (lambda marker: np.array([Call(os.system, f"touch {marker}")], dtype=object), "system"),
        (lambda marker: {Call(os.system, f"touch {marker}"): 1}, "system"),
    ],
)
def test_an_attack_is_refused_by_name_and_nothing_runs(load, marker, make, name, protocol):
    with pytest.raises(UnsafePickleError, match=name) as caught:
        load(pickle.dumps(make(marker), protocol))
    assert "corpus.pkl" in str(caught.value)
    assert "\n" not in str(caught.value)


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        # STACK_GLOBAL with a path through an allowed name
        (b"\x80\x04" + text("collections") + text("OrderedDict.__init__") + b"\x93.", "OrderedDict.__init__"),
        (b"\x80\x04" + text("numpy") + text("ndarray.tofile") + b"\x93.", "ndarray.tofile"),
        # names put together from the memo
        (b"\x80\x04" + text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93.", "os.system"),
        # getattr(__import__("os"), "system")("true")
        (b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'true'\ntR.", "getattr"),
        # the memo holds a harmless global first, then is overwritten
        (b"\x80\x02cbuiltins\nlist\nq\x000cos\nsystem\nq\x000h\x00X\x04\x00\x00\x00true\x85R.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),  # INST
        (b"(cos\nsystem\nS'true'\no.", "os.system"),  # OBJ
        (b"\x80\x02cos\nsystem\n)\x81.", "os.system"),  # NEWOBJ
        (b"\x80\x02ccopyreg\n_reconstructor\n.", "copyreg._reconstructor"),
        (b"\x80\x02cnumpy.core.multiarray\nfromfile\n.", "fromfile"),
        (b"\x80\x02cfunctools\npartial\n.", "functools.partial"),
        (b"\x80\x02\x82\x01.", "extension registry"),
        (b"\x80\x02\x83\x01\x00.", "extension registry"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "extension registry"),
        (b"Pevil\n.", "persistent id"),
        (b"\x80\x02NQ.", "persistent id"),
    ],
)
def test_ways_around_the_list_of_names_are_closed(load, content, name):
    with pytest.raises(UnsafePickleError, match=name):
        load(content)


def test_an_extension_that_the_process_has_cached_is_refused(load):
    import copyreg

    copyreg.add_extension("os", "system", 240)
    try:
        pickle.loads(b"\x80\x02\x82\xf0.")
        with pytest.raises(UnsafePickleError, match="extension registry"):
            load(b"\x80\x02\x82\xf0.")
    finally:
        copyreg.remove_extension("os", "system", 240)
        copyreg.clear_extension_cache()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85\x85R.",  # ndarray((2**40,))
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85U\x01b\x87R.",
        b"\x80\x02cbuiltins\nbytes\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.",  # BINBYTES8
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",  # BYTEARRAY8
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",  # BINUNICODE8
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",  # FRAME
        b"\x80\x03B" + struct.pack("<I", 2**31) + b"abc.",  # BINBYTES
        b"\x80\x02X" + struct.pack("<I", 2**31) + b"abc.",  # BINUNICODE
        b"T" + struct.pack("<i", -5) + b"abc.",  # BINSTRING
        b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"abc.",  # LONG4
        b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".",  # LONG_BINPUT, whose table would take 32 GB
        b"Np4000000000\n.",
    ],
)
def test_a_promise_of_gigabytes_is_refused_before_memory_is_taken(load, content):
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match=r"corpus\.pkl"):
            load(content)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def reshaped(shape, kind="f4", content=b"\x00" * 16):
    """Return the pickle of an array whose shape is a lie."""
    pickler = pickle.Pickler(buffer := io.BytesIO(), 4)
    reconstruct = np.zeros(1).__reduce__()[0]
    state = (1, shape, Call(np.dtype, kind, False, True), False, content)

    class Lie:
        def __reduce__(self):
            return reconstruct, (np.ndarray, (0,), b"b"), state

    pickler.dump(Lie())
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(10**12,), (-4,), (2, -2), (2**40, 2**40), ("4",), (4.0,), [4], (True,) * 40])
@pytest.mark.parametrize(("kind", "content"), [("f4", b"\x00" * 16), ("O8", [1, 2, 3, 4])])
def test_an_array_whose_shape_is_not_its_content_is_refused(load, shape, kind, content):
    with pytest.raises(CorpusError, match="shape"):
        load(reshaped(shape, kind, content))
    np.testing.assert_array_equal(load(reshaped((4,), kind, content)).shape, (4,))


@pytest.mark.parametrize("kind", ["V8", "M8", "i4,O", "(1000000000,)f8", "S0", "object", 5])
def test_types_that_no_corpus_has_are_refused(load, kind):
    with pytest.raises(CorpusError, match="type"):
        load(reshaped((4,), kind))


def test_what_a_pickle_may_call_it_cannot_change(load):
    # BUILD with a state for attributes, on each stand-in.
    names = (b"numpy\nndarray", b"numpy\ndtype", b"builtins\nlist", b"_codecs\nencode", b"collections\nOrderedDict")
    for name in names:
        for state in (b"}X\x05\x00\x00\x00type_Ns", b"N}X\x05\x00\x00\x00type_Ns\x86"):
            with pytest.raises(CorpusError, match=r"corpus\.pkl"):
                load(b"\x80\x02c" + name + b"\n" + state + b"b.")
    assert load(pickle.dumps(np.arange(3), 2)).tolist() == [0, 1, 2]
    assert load(pickle.dumps({1}, 2)) == {1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"video_id,clip_id,text\n", "pickle"),
        (b"hello", "pickle"),
        (b"PK\x03\x04" + b"\x00" * 50, "pickle"),
        (b"\x80\x04", "end of the file"),
        (b"\x80\x09N.", "pickle"),
        (b"\x80\x04\x93.", "pickle"),
        (b"\x80\x02K.", "pickle"),
    ],
)
def test_a_damaged_file_is_named(load, content, message):
    with pytest.raises(CorpusError, match=message) as caught:
        load(content)
    assert "corpus.pkl" in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_truncated_pickle_is_refused_wherever_it_ends(load, protocol):
    content = pickle.dumps({"train": {"audio": np.arange(6.0), "id": ["a", "b"]}}, protocol)
    for end in range(len(content)):
        with pytest.raises(CorpusError):
            load(content[:end])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_changed_bytes_give_a_value_or_our_error(tmp_path_factory, data):
    protocol = data.draw(st.sampled_from(PROTOCOLS))
    content = bytearray(pickle.dumps({"audio": np.arange(6.0), "id": ["a", "b"]}, protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.pkl"
    path.write_bytes(content)
    # A changed number is still a number; anything else but our error fails the test.
    with contextlib.suppress(CorpusError):
        load_pickle(path)
