import dataclasses
import json
import subprocess
import sys
import types

import numpy as np
import pytest
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.costs import corpus_memory, process_memory
from hf_msa.costs.corpus_memory import LIMIT_MIB, benchmark_corpus_memory
from hf_msa.costs.corpus_memory_result import CorpusMemory, TrainingMemory
from hf_msa.costs.made_corpus import MOSEI_ROWS, made_corpus, split_sizes
from hf_msa.data.rows import RowCheck
from hf_msa.progress import Progress

MIB = 2**20
TWO_BATCHES = TrainingMemory(384, 87, 500, 800, 9)
WHOLE = TrainingMemory(22856, 5205, 700, 6000, 99)
RESULT = CorpusMemory(WHOLE, TWO_BATCHES, 200, LIMIT_MIB, "pgf_net", 32, "word", 30, 0, {"torch": "2.13.0"})


def peaks_of(script, tmp_path, told=None):
    command = [sys.executable, "-c", script]
    report = (lambda *_: None) if told is None else (lambda *args: told.append(args))
    return process_memory.peaks_of(command, tmp_path / "log.txt", report)


def refuse_to_train(*_):
    raise AssertionError("expected the mistake to be found before anything is made")


def test_the_made_corpus_has_full_streams_and_words_that_make_up_the_text():
    corpus = made_corpus({"train": 3, "valid": 1, "test": 2})
    rows = [row for split in corpus.sizes for row in RowCheck("made", (-3, 3))(split, corpus.rows(split))]
    assert len(rows) == 6
    for row in rows:
        assert row["audio"].shape == (500, 74)
        assert row["visual"].shape == (500, 35)
        assert row["audio"].dtype == row["visual"].dtype == np.float32
        assert row["text"].split() == [word["word"] for word in row["words"]]
        assert row["words"][-1]["end"] == 500 / row["audio_rate"]
    assert not np.array_equal(rows[0]["audio"], rows[1]["audio"])


def test_the_made_corpus_is_the_same_every_time_it_is_read():
    def one(seed):
        return next(made_corpus({"train": 1, "valid": 1, "test": 1}, seed).rows("test"))

    assert one(0)["text"] == one(0)["text"] != one(1)["text"]
    np.testing.assert_array_equal(one(0)["visual"], one(0)["visual"])


def test_splits_are_those_of_mosei_or_in_proportion():
    assert split_sizes(22856) == MOSEI_ROWS
    assert split_sizes(100) == {"train": 72, "valid": 8, "test": 20}
    assert split_sizes(3) == {"train": 1, "valid": 1, "test": 1}


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_linux
def test_the_peak_is_seen_though_the_memory_was_freed(tmp_path):
    held = "import time; a = bytearray(b'1') * 200_000_000; time.sleep(.3); del a; time.sleep(.1)"
    told = []
    anonymous, resident = peaks_of(held, tmp_path, told)
    alone, _ = peaks_of("import time; time.sleep(.1)", tmp_path)
    assert 195e6 < anonymous - alone < 215e6
    assert resident >= anonymous
    assert told[-1][0] == anonymous


@needs_linux
def test_pages_of_a_mapped_file_are_resident_but_not_anonymous(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100_000_000))
    path = str(tmp_path / "file")
    mapped = (
        f"import mmap, time; file = open({path!r}, 'rb');"
        "pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ);"
        "sum(pages[i] for i in range(0, len(pages), 4096)); time.sleep(.2)"
    )
    anonymous, resident = peaks_of(mapped, tmp_path)
    alone_anonymous, alone_resident = peaks_of("import mmap, time; time.sleep(.2)", tmp_path)
    assert anonymous - alone_anonymous < 5e6
    assert resident - alone_resident > 95e6


def test_training_that_fails_says_what_it_wrote(tmp_path):
    with pytest.raises(RuntimeError, match=r"exit code 3:\n.*no room"):
        peaks_of("import sys; print('no room'); sys.exit(3)", tmp_path)


def test_a_run_that_is_stopped_leaves_no_process(tmp_path):
    started = []

    def stop(*_):
        raise KeyboardInterrupt

    class Remembered(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_memory.subprocess, "Popen", Remembered)
        with pytest.raises(KeyboardInterrupt):
            process_memory.peaks_of([sys.executable, "-c", "import time; time.sleep(99)"], tmp_path / "log.txt", stop)
    assert started[0].returncode is not None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rows": 2}, "rows: expected at least 3, one per split, got 2"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"alignment": "both"}, "alignment: expected 'word' or 'none', got 'both'"),
        ({"model_type": "runs/demo"}, "model_type: expected one of .*pgf_net, got 'runs/demo'"),
    ],
)
def test_a_wrong_setting_is_refused_first(setting, message, monkeypatch):
    monkeypatch.setattr(corpus_memory, "_train", refuse_to_train)
    with pytest.raises(ValueError, match=message):
        benchmark_corpus_memory(**setting)


def test_another_system_than_linux_is_refused_first(monkeypatch):
    monkeypatch.setattr(corpus_memory, "_train", refuse_to_train)
    monkeypatch.setattr(corpus_memory, "memory_of", lambda process: {})
    monkeypatch.setattr(corpus_memory.platform, "system", lambda: "Darwin")
    with pytest.raises(OSError, match=r"memory: expected Linux, .* got Darwin"):
        benchmark_corpus_memory()


@needs_linux
def test_a_full_disk_is_found_first_and_says_how_much_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_memory, "_train", refuse_to_train)
    monkeypatch.setattr(corpus_memory.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=10**9))
    with pytest.raises(OSError, match=r"folder: expected 11\.1 GB of free space in .*, got 1\.0"):
        benchmark_corpus_memory(folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@needs_linux
def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(OSError, match="folder: expected an existing one"):
        benchmark_corpus_memory(folder=tmp_path / "nowhere")


def test_the_table_shows_both_processes_and_the_verdict():
    text = RESULT.to_text()
    line = next(line for line in text.splitlines() if "anonymous memory, MiB" in line)
    assert line.split()[-3:] == ["500", "700", "200"]
    assert "training takes 0.21 GB beyond the model's own, within the limit of 1.5 GB" in text
    beyond = dataclasses.replace(RESULT, beyond_mib=1500)
    assert "1.57 GB beyond the model's own, MORE THAN the limit of 1.5 GB" in beyond.to_text()


def test_the_command_prints_json_and_passes_its_settings_on(tmp_path, monkeypatch):
    asked = {}

    def measure(model_type, **settings):
        settings.pop("report")(Progress("writing", 1, 2))
        asked.update(settings, model_type=model_type)
        return RESULT

    monkeypatch.setattr(corpus_memory, "benchmark_corpus_memory", measure)
    settings = ["--rows", "99", "--folder", str(tmp_path), "--batch-size", "16"]
    result = CliRunner().invoke(app, ["benchmark", "pgf_net", "--corpus-memory", "--json", *settings])
    assert result.exit_code == 0, result.output
    assert asked == {"model_type": "pgf_net", "rows": 99, "folder": tmp_path, "batch_size": 16, "alignment": "word"}
    found = json.loads(result.stdout)
    assert found["within_limit"] is True
    assert found["whole"]["peak_anonymous_mib"] == 700


def test_settings_of_the_corpus_without_the_corpus_are_refused():
    result = CliRunner().invoke(app, ["benchmark", "pgf_net", "--rows", "9"])
    assert result.exit_code == 2
    assert "expected only with --corpus-memory" in result.stderr


@needs_linux
@pytest.mark.slow
def test_training_is_measured_from_end_to_end_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_memory, "_EVALUATED", 8)
    told = []
    result = benchmark_corpus_memory(rows=60, batch_size=4, steps=2, folder=tmp_path, report=told.append)
    assert list(tmp_path.iterdir()) == []
    assert (result.whole.rows, result.two_batches.rows) == (60, 48)
    assert result.beyond_mib == result.whole.peak_anonymous_mib - result.two_batches.peak_anonymous_mib
    for memory in (result.whole, result.two_batches):
        assert 100 < memory.peak_anonymous_mib <= memory.peak_resident_mib < 5000
        assert memory.corpus_mib > memory.rows * 0.2
    assert abs(result.beyond_mib) < 200
    assert {progress.task.split()[0] for progress in told} == {"writing", "training"}
