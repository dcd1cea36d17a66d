"""transformers' own ways to the Hub give a whole repository too: code, processor, pipeline."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny_checkpoints import write_checkpoint
from tiny_models import WITH_TEXT, tiny_model
from transformers import AutoModelForSequenceClassification, AutoProcessor, Trainer, TrainingArguments

from hf_msa.hub.sending import Destination, send_folder


@pytest.fixture
def load(online, tmp_path):
    """Load from the server, with the code of this package, into a cache of its own."""
    return lambda auto_class, name="user/model", **options: auto_class.from_pretrained(
        name, cache_dir=tmp_path / "loaded", **options
    )


def rows():
    streams = {"audio": [[0.1, 0.2, 0.3]] * 4, "visual": [[0.1, 0.2]] * 4, "audio_rate": 2.0, "visual_rate": 2.0}
    words = [["i", 0.0, 0.4], ["loved", 0.4, 1.0], ["it", 1.0, 2.0]]
    return [{"text": "i loved it", "words": words, "label": 1.0, **streams}] * 4


@pytest.mark.parametrize("model_type", WITH_TEXT)
def test_model_and_processor_pushed_one_after_the_other_are_a_whole_repository(model_type, online, load, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", model_type)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    processor = AutoProcessor.from_pretrained(checkpoint)
    model.push_to_hub("user/model", private=True)
    processor.push_to_hub("user/model")
    repository = online.repository("user/model")
    assert repository.private
    names = {path.name for path in checkpoint.iterdir()}
    assert set(repository.at("main").files) == names | {".gitattributes", "README.md"}
    config = json.loads(repository.at("main").files["config.json"].content)
    for entry in [*config["auto_map"].values(), config["custom_pipelines"]["multimodal-sentiment-analysis"]["impl"]]:
        assert f"{entry.split('.')[0]}.py" in names
    loaded = load(AutoModelForSequenceClassification)
    assert type(loaded) is type(model)
    assert type(load(AutoProcessor)) is type(processor)
    batch = processor.collate(rows())
    assert loaded.eval()(**batch).logits.equal(model.eval()(**batch).logits)


def test_a_revision_keeps_what_it_was(online, load):
    model = tiny_model()
    model.push_to_hub("user/model")
    first = online.repository("user/model").at("main").sha
    model.get_input_embeddings().weight.data.zero_()
    model.push_to_hub("user/model")
    assert not load(AutoModelForSequenceClassification).get_input_embeddings().weight.any()
    assert load(AutoModelForSequenceClassification, revision=first).get_input_embeddings().weight.any()


def test_a_trainer_pushes_a_whole_repository(online, load, tmp_path):
    processor = AutoProcessor.from_pretrained(write_checkpoint(tmp_path / "checkpoint"))
    quiet = {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "logging_strategy": "no"}
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        push_to_hub=True,
        hub_model_id="user/model",
        hub_private_repo=True,
        remove_unused_columns=False,
        max_steps=1,
        save_strategy="no",
        **quiet,
    )
    trainer = Trainer(
        tiny_model(), arguments, data_collator=processor.collate, train_dataset=rows(), processing_class=processor
    )
    trainer.train()
    trainer.push_to_hub()
    files = online.repository("user/model").at("main").files
    assert {"model.safetensors", "pipeline_msa.py", "modeling_pgf_net.py", "processor_config.json"} < set(files)
    loaded, again = load(AutoModelForSequenceClassification).eval(), load(AutoProcessor)
    assert loaded(**again.collate(rows())).logits.equal(trainer.model.eval()(**processor.collate(rows())).logits)


@pytest.mark.parametrize("shard", ["../elsewhere.safetensors", "/etc/elsewhere.safetensors"])
def test_an_index_of_a_repository_that_leads_elsewhere_loads_nothing(api, load, shard, tmp_path):
    folder = tmp_path / "sharded"
    tiny_model().save_pretrained(folder, max_shard_size="10KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    api.create_repo("user/model")
    api.upload_folder(repo_id="user/model", folder_path=folder)
    with pytest.raises((ValueError, OSError)):
        load(AutoModelForSequenceClassification)


def test_two_pushes_at_once_end_in_one_of_the_two_states_whole(online, tmp_path):
    states = []
    for number, names in enumerate([["model.safetensors"], ["model-1.safetensors", "model-2.safetensors"]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ["config.json", *names]:
            (folder / name).write_bytes(f"{number} {name}".encode() * 100)
        states.append({name: (folder / name).read_bytes() for name in ["config.json", *names]})
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            pushes = [
                pool.submit(send_folder, tmp_path / str(number), Destination("user/model"), "a push")
                for number in (0, 1)
            ]
        assert all(push.result() for push in pushes)
        files = online.repository("user/model").at("main").files
        assert {name: blob.content for name, blob in files.items() if name != ".gitattributes"} in states
