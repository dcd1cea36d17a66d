import builtins
import json

import numpy as np
import pytest

from hf_msa.data import CorpusError, convert_corpus, load_corpus
from hf_msa.data.description import repairs_of

h5py = pytest.importorskip("h5py")


def write(path, videos):
    with h5py.File(path, "w") as file:
        for video, (features, intervals) in videos.items():
            group = file.create_group(f"{path.stem}/data/{video}")
            group["features"], group["intervals"] = features, np.array(intervals, float)


def frames(rate, seconds, dim):
    times = np.arange(int(rate * seconds)) / rate
    values = np.repeat(np.arange(len(times), dtype=np.float32)[:, None], dim, axis=1)
    return values, np.stack([times, times + 1 / rate], axis=1)


@pytest.fixture
def folder(tmp_path):
    labels = {
        "v1": ([[1.0], [-2.0]], [[0, 2], [2, 4]]),
        "v2": ([[0.5]], [[0, 3]]),
        "v3": ([[3.0]], [[1, 2]]),
    }
    words = {
        "v1": (
            np.array([[b"sp"], [b"it"], [b"was"], [b"good"]]),
            [[0, 0.5], [0.5, 1], [1, 1.9], [1.9, 2.4]],
        ),
        "v2": (np.array([[b"caf\xc3\xa9"]]), [[1, 2]]),
        "v3": (np.array([[b"no"]]), [[0.9, 1.5]]),
    }
    write(tmp_path / "MOSI_Opinion_Labels.csd", labels)
    write(tmp_path / "MOSI_TimestampedWords.csd", words)
    write(tmp_path / "MOSI_TimestampedWordVectors.csd", {"v1": (np.zeros((1, 300)), [[0, 1]])})
    write(tmp_path / "MOSI_COVAREP.csd", {video: frames(100, 4, 3) for video in ("v1", "v2", "v3")})
    write(tmp_path / "MOSI_Visual_Facet_42.csd", {video: frames(30, 4, 2) for video in ("v1", "v2")})
    folds = {"train": ["v1", "gone"], "valid": ["v2"], "test": ["v3"]}
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    return tmp_path


def test_every_labelled_interval_becomes_a_row(folder):
    corpus = load_corpus(folder)
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 2, "valid": 1, "test": 1}
    row = corpus["train"][1]
    assert (row["id"], row["speaker"], row["text"], row["label"]) == ("v1$_$1", "v1", "good", -2)
    np.testing.assert_array_equal(row["audio"][:, 0], np.arange(200, 400))
    np.testing.assert_array_equal(row["visual"][:, 0], np.arange(60, 120))
    assert (round(row["audio_rate"], 3), round(row["visual_rate"], 3)) == (100, 30)


def test_words_count_from_the_start_of_their_interval_and_pauses_are_none(folder):
    corpus = load_corpus(folder)
    assert [(w["word"], w["start"], round(w["end"], 3)) for w in corpus["train"][0]["words"]] == [
        ("it", 0.5, 1),
        ("was", 1, 1.9),
    ]
    assert corpus["valid"][0]["text"] == "café"
    assert [(w["start"], w["end"]) for w in corpus["test"][0]["words"]] == [(0, 0.5)]


def test_what_a_video_lacks_is_missing_and_counted(folder):
    corpus = load_corpus(folder)
    assert corpus["test"][0]["visual"].shape == (0, 2)
    assert corpus["test"][0]["visual_rate"] is None
    repairs = json.loads(corpus["train"].info.description)["repairs"]
    assert repairs == {"videos_without_labels": 1, "utterances_without_visual": 1}


def test_files_and_folds_may_be_named(folder):
    (folder / "MOSI_COVAREP.csd").rename(folder / "sounds.csd")
    (folder / "folds.json").unlink()
    folds = {"train": ["v1"], "valid": ["v2"], "test": ["v3"]}
    options = {"folds": folds, "sequences": {"audio": "sounds.csd"}, "audio_rate": 50}
    assert load_corpus(folder, **options)["train"][0]["audio_rate"] == 50


def test_two_files_that_could_be_meant_are_an_error(folder):
    write(folder / "MOSI_openSMILE.csd", {"v1": frames(10, 1, 4)})
    with pytest.raises(CorpusError, match=r"one file of audio, got MOSI_COVAREP\.csd, MOSI_openSMILE\.csd"):
        load_corpus(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("folds.json", b"{", r"folds\.json: expected the videos"),
        ("folds.json", b'{"train": 5}', r"folds\.json: expected lists"),
        ("folds.json", b'{"train": [1], "valid": [2], "test": [3]}', r"folds\.json: expected lists"),
        ("folds.json", b'{"train": ["v1"], "test": ["v3"]}', "got no valid"),
        ("folds.json", b'{"train": ["v1"], "valid": ["gone"], "test": ["v3"]}', "valid: expected at least one row"),
        ("MOSI_COVAREP.csd", b"no HDF5", r"MOSI_COVAREP\.csd: expected a computational sequence"),
    ],
)
def test_a_wrong_file_is_named(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        load_corpus(folder)


def test_wrong_shapes_are_named(folder):
    write(folder / "MOSI_COVAREP.csd", {"v1": (np.zeros((3, 2)), np.zeros((2, 2)))})
    with pytest.raises(CorpusError, match=r"v1: expected features \(n, F\) and intervals"):
        load_corpus(folder)


def with_labels(folder, rows, intervals):
    labels = {"v1": (rows, intervals), "v2": ([[0.5]], [[0, 3]]), "v3": ([[3.0]], [[1, 2]])}
    write(folder / "MOSI_Opinion_Labels.csd", labels)
    return load_corpus(folder)["train"]


def test_a_label_without_length_reaches_to_the_next_one_and_is_counted(folder):
    rows = with_labels(folder, [[1.0], [-2.0]], [[1, 1], [2, 4]])
    assert (rows[0]["text"], len(rows[0]["audio"]), rows[1]["text"]) == ("was", 100, "good")
    assert repairs_of(rows)["clips_without_end"] == 1
    rows = with_labels(folder, [[1.0], [-2.0]], [[0, 2], [2, 2]])
    assert (rows[1]["text"], len(rows[1]["audio"])) == ("good", 200)


def test_a_label_that_starts_before_the_video_starts_with_it_and_is_counted(folder):
    rows = with_labels(folder, [[1.0]], [[-0.4775, 2]])
    assert [word["start"] for word in rows[0]["words"]] == [0.5, 1]
    assert len(rows[0]["audio"]) == 200
    assert repairs_of(rows)["clips_before_the_video"] == 1


@pytest.mark.parametrize("interval", [[2, 1], [np.nan, 1], [0, np.inf], [-2, -1]])
def test_a_label_of_no_time_is_refused_by_video(folder, interval):
    with pytest.raises(CorpusError, match=r"Labels\.csd: v1: interval 0: start, end: expected start <= end"):
        with_labels(folder, [[1.0]], [interval])


def test_a_video_without_transcript_is_counted(folder):
    words = {"v1": (np.array([[b"good"]]), [[1, 2]]), "v2": (np.array([[b"no"]]), [[1, 2]])}
    write(folder / "MOSI_TimestampedWords.csd", words)
    rows = load_corpus(folder)
    assert (rows["test"][0]["text"], rows["test"][0]["words"]) == ("", None)
    assert repairs_of(rows["test"])["utterances_without_text"] == 2  # and an interval in which nobody speaks


@pytest.mark.parametrize("video", ["v1", "v2", "v3"])
def test_a_video_of_another_width_is_refused_by_file_video_and_widths(folder, tmp_path, video):
    videos = {name: frames(100, 4, 3 if name != video else 2) for name in ("v3", "v2", "v1")}
    write(folder / "MOSI_COVAREP.csd", videos)
    with pytest.raises(CorpusError, match=r"COVAREP\.csd: v\d: expected (2|3) number\(s\) per entry, got (2|3)"):
        convert_corpus(folder, folder.parent / f"{video}_out")
    assert not (folder.parent / f"{video}_out").exists()


def test_words_that_are_numbers_are_refused(folder):
    write(folder / "MOSI_TimestampedWords.csd", {"v1": (np.zeros((1, 300)), [[0, 1]])})
    with pytest.raises(CorpusError, match=r"Words\.csd: v1: expected words as bytes, got .*0\.0"):
        load_corpus(folder)


def test_frames_that_are_no_numbers_are_refused(folder):
    write(folder / "MOSI_COVAREP.csd", {"v1": (np.array([[b"sp"]]), [[0, 1]])})
    with pytest.raises(CorpusError, match=r"COVAREP\.csd: v1: expected 1 number\(s\) per entry"):
        load_corpus(folder)


def test_a_sequence_of_other_videos_is_refused(folder):
    write(folder / "MOSI_COVAREP.csd", {"w1": frames(100, 4, 3)})
    with pytest.raises(CorpusError, match=r"COVAREP\.csd: expected some of the labelled videos, got none"):
        load_corpus(folder)


def test_labels_are_needed(folder):
    (folder / "MOSI_Opinion_Labels.csd").unlink()
    with pytest.raises(CorpusError, match=r"expected a \.csd of labels"):
        load_corpus(folder)
    with pytest.raises(CorpusError, match="sequences: expected label, words, audio, visual, got 'sound'"):
        load_corpus(folder, sequences={"sound": "a.csd"})


def test_without_h5py_the_extra_is_named(folder, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "h5py":
            raise ModuleNotFoundError("No module named 'h5py'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(CorpusError, match=r'pip install "hf_msa\[csd\]"'):
        load_corpus(folder)


def secret(folder):
    (folder.parent / "secret.txt").write_bytes(b"s3cret" * 4)
    return folder.parent / "secret.txt"


def external_storage(folder):
    with h5py.File(folder / "MOSI_TimestampedWords.csd", "a") as file:
        group = file["MOSI_TimestampedWords/data/v1"]
        del group["features"]
        where = [(str(secret(folder)), 0, 24)]
        group.create_dataset("features", (4, 1), "S6", external=where)


def external_link(folder, place="data/v1/features"):
    other = folder.parent / "other.h5"
    with h5py.File(other, "w") as file:
        file["words"] = np.array([[b"s3cret"]] * 4)
        file.create_group("group/data")
    with h5py.File(folder / "MOSI_TimestampedWords.csd", "a") as file:
        sequence = file["MOSI_TimestampedWords"]
        del sequence[place]
        sequence[place] = h5py.ExternalLink(str(other), "/group/data" if place == "data" else "/words")


def external_data(folder):
    external_link(folder, "data")


def external_root(folder):
    external_link(folder)
    with h5py.File(folder / "MOSI_TimestampedWords.csd", "w") as file:
        file["a"] = h5py.ExternalLink(str(folder.parent / "other.h5"), "/group")


def soft_link(folder):
    external_link(folder)
    with h5py.File(folder / "MOSI_TimestampedWords.csd", "a") as file:
        file["elsewhere"] = h5py.ExternalLink(str(folder.parent / "other.h5"), "/")
        group = file["MOSI_TimestampedWords/data/v1"]
        del group["features"]
        group["features"] = h5py.SoftLink("/elsewhere/words")


def soft_link_of_a_video(folder):
    with h5py.File(folder / "MOSI_TimestampedWords.csd", "a") as file:
        videos = file["MOSI_TimestampedWords/data"]
        del videos["v1"]
        videos["v1"] = h5py.SoftLink("/elsewhere")


def virtual_dataset(folder):
    external_link(folder)
    layout = h5py.VirtualLayout((4, 1), "S6")
    layout[:] = h5py.VirtualSource(str(folder.parent / "other.h5"), "words", (4, 1))
    with h5py.File(folder / "MOSI_TimestampedWords.csd", "a") as file:
        group = file["MOSI_TimestampedWords/data/v1"]
        del group["features"]
        group.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (external_storage, r"data/v1/features: .* got external storage in .*secret\.txt"),
        (external_link, r"data/v1/features: .* got an external link to '/words'"),
        (external_data, r"/MOSI_TimestampedWords/data: .* got an external link to '/group/data'"),
        (external_root, r"/a: .* got an external link to '/group'"),
        (soft_link, r"data/v1/features: .* got a soft link to '/elsewhere/words'"),
        (soft_link_of_a_video, r"data/v1: .* got a soft link to '/elsewhere'"),
        (virtual_dataset, "data/v1/features: .* got a virtual dataset of others"),
    ],
)
def test_what_lies_in_another_file_is_refused_by_name(folder, change, found):
    change(folder)
    with pytest.raises(CorpusError, match=rf"Words\.csd: .*{found}"):
        load_corpus(folder)


@pytest.mark.parametrize("name", ["COVAREP", "Opinion_Labels"])
def test_frames_and_labels_of_another_file_are_refused_too(folder, name):
    with h5py.File(folder / f"MOSI_{name}.csd", "a") as file:
        group = file[f"MOSI_{name}/data/v1"]
        values = group["features"]
        shape, where = values.shape, [(str(secret(folder)), 0, 10**6)]
        del group["features"]
        group.create_dataset("features", shape, "f4", external=where)
    with pytest.raises(CorpusError, match=rf"MOSI_{name}\.csd: .*features: .* external storage"):
        load_corpus(folder)


def test_a_video_whose_name_is_a_path_is_none(folder):
    folds = {"train": ["v1", "v1/../v2", "../data/v2"], "valid": ["v2"], "test": ["v3"]}
    assert repairs_of(load_corpus(folder, folds=folds)["train"])["videos_without_labels"] == 2


def test_a_dataset_that_declares_more_than_the_file_can_hold_is_not_read(folder):
    with h5py.File(folder / "MOSI_COVAREP.csd", "a") as file:
        group = file["MOSI_COVAREP/data/v1"]
        del group["features"]
        group.create_dataset("features", (2**40, 3), "f8", chunks=(2**10, 3))
    with pytest.raises(CorpusError, match="expected as much data as it declares, 26388279066624 bytes, got 0"):
        load_corpus(folder)


def test_compressed_frames_are_read(folder):
    with h5py.File(folder / "MOSI_COVAREP.csd", "a") as file:
        group = file["MOSI_COVAREP/data/v1"]
        del group["features"]
        group.create_dataset("features", data=np.ones((400, 3)), compression="gzip", compression_opts=9)
    assert load_corpus(folder)["train"][0]["audio"].sum() == 600
