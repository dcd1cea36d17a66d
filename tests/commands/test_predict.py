"""`hf-msa predict`: in batches, in order, and one wrong line costs no other."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tiny_checkpoints import write_checkpoint
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.data.utterances import Utterance
from hf_msa.evaluation.scoring import WINDOW, score_utterances
from hf_msa.pretrained import load_pipeline


@pytest.fixture(scope="module", params=["pgf_net", "agfn", "deepmlf"])
def any_checkpoint(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / request.param, request.param)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "made")


def rows(size=23):
    """Return utterances of many lengths, of which some lack a stream; two have words."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(size):
        text = " ".join(["i", "loved", "it"][: 1 + i % 3] * (1 + i % 4))
        row = {"id": f"clip {i}", "text": text if i % 5 else None}
        row["audio"] = rng.normal(size=(4 + i % 7, 3)).astype(np.float32)
        if i % 3:
            row["visual"] = rng.normal(size=(3 + i % 4, 2)).astype(np.float32)
        if row["text"]:
            row["words"] = [(word, 0.1 * n, 0.1 * n + 0.1) for n, word in enumerate(text.split())]
        row |= {"audio_rate": 10.0, "visual_rate": 10.0}
        made.append(row)
    return made


def lines(made):
    return [Utterance(number, row) for number, row in enumerate(made, 1)]


def write(folder, made, wrong=()):
    """Write utterances of text as JSON lines; the wrong ones have a key that nobody knows."""
    path = folder / "utterances.jsonl"
    entries = [row | ({"mood": 1} if number in wrong else {}) for number, row in enumerate(made, 1)]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def run(*arguments, **options):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], **options)


@pytest.mark.parametrize("explain", [False, True])
def test_scores_in_batches_are_those_of_one_at_a_time(any_checkpoint, explain):
    pipe = load_pipeline(str(any_checkpoint))
    scored = list(score_utterances(pipe, lines(rows()), batch_size=8, explain=explain))
    assert [utterance.fields["id"] for utterance, _ in scored] == [row["id"] for row in rows()]
    assert all(score is not None for _, score in scored)
    for (_, score), row in zip(scored, rows(), strict=True):
        expected = pipe(row, explain=explain)
        assert score["score"] == pytest.approx(expected["score"], abs=1e-5)
        assert score["label"] == expected["label"]
        assert score.get("shares") == pytest.approx(expected.get("shares"), abs=1e-5)
        for word, same in zip(score.get("words", []), expected.get("words", []), strict=True):
            assert word == {"word": same["word"], "text_share": pytest.approx(same["text_share"], abs=1e-5)}


def test_a_batch_is_one_forward_pass_and_no_more_than_a_window_is_read_ahead(checkpoint, monkeypatch):
    pipe = load_pipeline(str(checkpoint))
    read, sizes = [], []
    forward = pipe.forward
    monkeypatch.setattr(
        pipe, "forward", lambda inputs, **k: (sizes.append(len(inputs["input_ids"])), forward(inputs, **k))[1]
    )

    def reading():
        for number in range(1, 4 * WINDOW + 1):
            read.append(number)
            yield Utterance(number, {"text": "it"})

    next(score_utterances(pipe, reading(), batch_size=2))
    assert len(read) == 2 * WINDOW
    assert sizes == [2] * WINDOW


def test_wrong_lines_are_named_at_the_end_and_cost_no_other(checkpoint, tmp_path):
    path = write(tmp_path, [{"id": i, "text": "it"} for i in range(9)], wrong=(3, 8))
    path.write_text(path.read_text() + "{\n")
    output = tmp_path / "scores.jsonl"
    result = run(checkpoint, path, "--output", output, "--batch-size", 4)
    assert result.exit_code == 3
    assert [line.split(".jsonl:")[1].split(":")[0] for line in result.stderr.splitlines()] == ["3", "8", "10"]
    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == [0, 1, 3, 4, 5, 6, 8]


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "\\ud800 it"}',
        b"[" * 100_000,
        *(b'{"audio": "%s.npy"}' % name for name in (b"empty", b"zip", b"head")),
    ],
    ids=["surrogate", "depth", "empty array", "broken archive", "broken header"],
)
def test_a_line_or_an_array_that_no_parser_can_read_costs_no_other(checkpoint, tmp_path, line):
    header = b"{'descr': '<f4', 'shape'"
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04broken")
    (tmp_path / "head.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    path = write(tmp_path, [{"text": "it"}] * 2)
    path.write_bytes(line + b"\n" + path.read_bytes())
    result = run(checkpoint, path, "--json")
    assert result.exit_code == 3
    assert [json.loads(score)["line"] for score in result.stdout.splitlines()] == [2, 3]
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", [3, [[1.0]], True, "", {}], ids=str)
def test_a_path_that_is_none_is_told_so_in_plain_words(checkpoint, tmp_path, path):
    result = run(checkpoint, write(tmp_path, [{"text": "it", "audio": path}]))
    assert result.exit_code == 3
    assert (
        result.stderr
        == f"hf-msa: {tmp_path}/utterances.jsonl:1: audio: expected the path of a .npy file, got {path!r}\n"
    )


def test_a_line_without_any_stream_is_told_so_in_plain_words(checkpoint, tmp_path):
    result = run(checkpoint, write(tmp_path, [{}]))
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "1: batch: expected text, audio or visual in every row, got none but an empty mapping\n"
    )


@pytest.mark.filterwarnings("default")
def test_streams_without_any_value_are_missing_and_counted_at_the_end(checkpoint, tmp_path):
    for name, value in (("zeros", 0.0), ("nan", np.nan), ("inf", -np.inf)):
        np.save(tmp_path / f"{name}.npy", np.full((4, 3), value))
    sound = {"text": "it", "words": [["it", 0, 1]], "audio_rate": 4.0, "visual_rate": 4.0}
    files = [None, "zeros.npy", "nan.npy", "inf.npy"]
    result = run(checkpoint, write(tmp_path, [sound | {"audio": file} for file in files]), "--json")
    assert result.exit_code == 0
    assert len({json.loads(line)["score"] for line in result.stdout.splitlines()}) == 1
    assert result.stderr == (
        "hf-msa: warning: utterances: such a stream counts as missing: 1 with audio of zeros alone, "
        "2 with audio of NaN alone\n"
    )


@pytest.mark.filterwarnings("default")
def test_a_text_that_the_model_does_not_know_is_said_once_at_the_end(checkpoint, tmp_path):
    result = run(checkpoint, write(tmp_path, [{"text": "\u2603 it"}] * 40), "--batch-size", "2")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "hf-msa: warning: utterances: text: expected words that the text model's tokenizer knows, got 50% of"
    )


def test_a_byte_order_mark_before_the_first_line_is_not_part_of_it(checkpoint, tmp_path):
    path = write(tmp_path, [{"text": "it"}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run(checkpoint, path, "--json").exit_code == 0


def test_strict_stops_at_the_first_wrong_line(checkpoint, tmp_path):
    path = write(tmp_path, [{"text": "it"}] * 3, wrong=(2, 3))
    result = run(checkpoint, path, "--json", "--strict")
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 1
    (line,) = result.stderr.splitlines()
    assert "utterances.jsonl:2: pipeline: unknown key(s) 'mood'" in line


def test_a_line_without_an_id_is_known_by_its_number(checkpoint, tmp_path):
    path = write(tmp_path, [{"text": "it"}, {"text": "it", "id": "b"}])
    first, second = map(json.loads, run(checkpoint, path, "--json").stdout.splitlines())
    assert first["line"] == 1
    assert second["id"] == "b"
    assert "line" not in second


def test_a_minus_reads_standard_input(checkpoint):
    result = run(checkpoint, "-", input='{"text": "i loved it"}\n')
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\ti loved it\n")


def test_the_output_grows_beside_its_name_until_it_is_whole(checkpoint, tmp_path, monkeypatch):
    import hf_msa.evaluation.scoring as scoring

    seen = []

    def score(pipe, utterances, **options):
        for utterance in utterances:
            partial = tmp_path / ".scores.jsonl.partial"
            seen.append((len(partial.read_text().splitlines()), (tmp_path / "scores.jsonl").exists()))
            yield utterance, {"score": float("nan"), "label": None}
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "score_utterances", score)
    path = write(tmp_path, [{"text": "it"}] * 2)
    assert run(checkpoint, path, "--output", tmp_path / "scores.jsonl").exit_code == 130
    assert seen == [(0, False), (1, False)]
    assert [file.name for file in tmp_path.iterdir()] == ["utterances.jsonl"]
    assert run(checkpoint, path, "--output", tmp_path / "scores.jsonl").exit_code == 0
    assert json.loads((tmp_path / "scores.jsonl").read_text().splitlines()[0])["score"] is None


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(checkpoint, tmp_path):
    path = write(tmp_path, [{"text": "it"}] * 3)
    code = "from hf_msa.cli import app; app()"
    command = [sys.executable, "-c", code, "predict", str(checkpoint), str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
