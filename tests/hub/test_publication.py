"""A checkpoint is checked before it goes out, goes out whole, and says where its numbers are from."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from hub_server import Fault
from hub_store import READER
from huggingface_hub import ModelCard, hf_hub_download
from safetensors.torch import load_file, save_file
from tiny_checkpoints import TEXT_MODEL, tiny_results, write_checkpoint
from tiny_kinds import model_of, processor_of
from tiny_models import WITH_TEXT, config_class

from hf_msa.hub import PublishError, publication, publish
from hf_msa.hub.publication import MAX_SHARD_SIZE
from hf_msa.models import PGFNetConfig, PGFNetForSequenceClassification
from hf_msa.pretrained.weights import weights_sha256


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("publish") / "made", results=tiny_results())


@pytest.fixture
def checkpoint(made, tmp_path):
    return shutil.copytree(made, tmp_path / "checkpoint")


@pytest.fixture
def trusting(monkeypatch):
    """Leave out the fresh process, which has tests of its own."""
    monkeypatch.setattr(publication, "reload_problems", lambda folder, model, processor: [])


@pytest.fixture
def push(online, trusting):
    return lambda folder, name="user/model", **options: publish(folder, name, **options)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def problems(folder, **options):
    with pytest.raises(PublishError) as error:
        publish(folder, "user/model", dry_run=True, **options)
    return error.value.problems


def test_a_dry_run_lists_files_and_card_and_sends_nothing(checkpoint, hub, trusting):
    found = publish(checkpoint, "user/model", dry_run=True)
    assert not hub.requests
    assert found.url is None
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "pipeline_msa.py"} < set(
        found.files
    )
    assert {"README.md", "LICENSE", "results.json"} < set(found.files)
    assert found.files["results.json"] == (checkpoint / "results.json").stat().st_size


def test_one_commit_holds_the_whole_repository(checkpoint, push, online):
    (checkpoint / "seeds" / "1111").mkdir(parents=True)
    (checkpoint / "seeds" / "1111" / "model.safetensors").write_bytes(b"0")
    (checkpoint / "predictions.parquet").write_bytes(b"0")
    found = push(checkpoint, tag="v1")
    repository = online.repository("user/model")
    assert [commit.title for commit in repository.history()] == ["initial commit", "Publish model with hf_msa"]
    assert set(repository.at("v1").files) == {".gitattributes", *found.files}
    assert "predictions.parquet" not in found.files
    assert found.url.endswith(repository.at("main").sha)


def test_a_second_push_sends_only_what_has_changed(checkpoint, push, online):
    push(checkpoint)
    online.requests.clear()
    edit_json(checkpoint / "results.json", command="hf-msa train other.yaml")
    push(checkpoint)
    assert online.repository("user/model").history()[-1].changed == ("README.md", "results.json")
    assert not online.seen("PUT /lfs")
    commits = len(online.repository("user/model").commits)
    push(checkpoint)
    assert len(online.repository("user/model").commits) == commits


def test_weights_of_an_older_push_do_not_stay_beside_new_ones(checkpoint, push, online):
    push(checkpoint, max_shard_size="10KB")
    files = online.repository("user/model").at("main").files
    shards = {name for name in files if name.startswith("model-")}
    assert len(shards) > 2
    push(checkpoint, max_shard_size=MAX_SHARD_SIZE)
    files = online.repository("user/model").at("main").files
    assert "model.safetensors" in files
    assert not shards & set(files)
    assert "model.safetensors.index.json" not in files


def test_pickled_weights_of_an_older_push_are_taken_away_and_other_pickles_named(checkpoint, push, online):
    push(checkpoint)
    old = dict(online.repository("user/model").at("main").files)
    loaded = ("adapter_model.bin", "pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "training_args.bin")
    kept = ("notes.md", "optimizer.pt", "old/weights.ckpt")
    store, repository = online.store, online.repository("user/model")
    some = next(iter(old.values()))
    store._add(repository, "main", "of somebody", old | dict.fromkeys((*loaded, *kept), some), repository.at("main"))
    found = push(checkpoint)
    assert sorted(found.removed) == sorted(loaded)
    assert sorted(found.pickles) == ["old/weights.ckpt", "optimizer.pt"]
    assert set(repository.at("main").files) == {*old, *kept}


def test_a_push_between_two_others_is_never_half_of_each(checkpoint, push, online, monkeypatch):
    """Somebody pushes shards after we looked: the first try is refused, the second takes them away."""
    push(checkpoint, "user/other", max_shard_size="10KB")
    push(checkpoint)
    shards = online.repository("user/other").at("main").files
    edit_json(checkpoint / "results.json", command="hf-msa train other.yaml")
    store, commit = online.store, online.store.commit

    def commit_after_another(repository, revision, lines, as_pull_request):
        monkeypatch.setattr(store, "commit", commit)
        store._add(repository, "main", "another", shards, repository.at("main"))
        return commit(repository, revision, lines, as_pull_request)

    monkeypatch.setattr(store, "commit", commit_after_another)
    push(checkpoint)
    files = online.repository("user/model").at("main").files
    assert "model.safetensors" in files
    assert not [name for name in files if name.startswith("model-")]


def test_an_upload_that_fails_changes_nothing_and_ends_whole_when_repeated(checkpoint, push, online, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    online.faults = [Fault("PUT /lfs", cut=1000, times=100)]
    with pytest.raises(OSError, match=r"user/model: not sent whole, so nothing changed there; run the same again"):
        push(checkpoint)
    assert set(online.repository("user/model").at("main").files) == {".gitattributes"}
    online.faults = []
    found = push(checkpoint)
    assert set(online.repository("user/model").at("main").files) == {".gitattributes", *found.files}


def test_a_branch_and_a_pull_request_leave_main_alone(checkpoint, push, online):
    push(checkpoint, revision="next")
    repository = online.repository("user/model")
    assert set(repository.at("main").files) == {".gitattributes"}
    assert "model.safetensors" in repository.at("next").files
    found = push(checkpoint, create_pr=True)
    assert set(repository.at("main").files) == {".gitattributes"}
    assert "model.safetensors" in repository.at("refs/pr/1").files
    assert "discussions/1" in found.url


def test_a_private_repository_is_made_private_and_a_public_one_not_taken_for_it(checkpoint, push, online):
    push(checkpoint, private=True)
    assert online.repository("user/model").private
    push(checkpoint, "user/open")
    with pytest.raises(ValueError, match="expected a private repository, but user/open is public"):
        push(checkpoint, "user/open", private=True)


def test_a_tag_that_is_taken_stops_before_anything_is_sent(checkpoint, push, online):
    push(checkpoint, tag="v1")
    online.requests.clear()
    with pytest.raises(ValueError, match="tag: expected a new one, got 'v1'"):
        push(checkpoint, tag="v1")
    assert not online.seen("commit|lfs")


def test_what_the_hub_refuses_is_one_line_without_the_token(checkpoint, push, online, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(OSError, match=r"user/model: the Hub refused, status 403: You don't have the rights") as error:
        push(checkpoint)
    assert READER not in str(error.value)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(OSError, match="status 401"):
        push(checkpoint)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("hf_msa.hub.sending.get_token", lambda: None)
    with pytest.raises(ValueError, match="token: expected one, got none; log in with `hf auth login`"):
        push(checkpoint)


def test_the_card_has_metadata_and_the_numbers_of_the_run(checkpoint, push, online):
    push(checkpoint)
    text = Path(hf_hub_download("user/model", "README.md")).read_text(encoding="utf-8")
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.base_model) == ("apache-2.0", "transformers", TEXT_MODEL)
    assert {result.metric_name: result.metric_value for result in data.eval_results}["mae"] == 0.7512
    assert "| ours, mean ± deviation | 2 | 0.762 ± 0.011 |" in text
    assert "| this checkpoint, seed 1111 | 1 | 0.751 |" in text
    assert "1,234,567 trainable parameters" in text
    assert "g = sigmoid(W_g [H; C] + b)" in text  # the diagram of the model's own file
    assert 'model="user/model"' in text


@pytest.mark.parametrize("model_type", WITH_TEXT)
def test_every_model_has_a_card_without_a_place_left_open(model_type, tmp_path, trusting):
    folder = write_checkpoint(tmp_path / model_type, model_type, tiny_results("mosi", acc_2_non0=0.8, f1_non0=0.8))
    found = publish(folder, "user/model", dry_run=True, tag="v1", dataset="user/mosi")
    assert "{{" not in found.card
    assert 'revision="v1"' in found.card
    paper = config_class(model_type).paper
    reported = [] if paper is None else [result for result in paper.results if result.corpus == "mosi"]
    assert [f"paper ({result.setting}" in found.card for result in reported] == [True] * len(reported)
    assert ("| paper (" in found.card) == bool(reported)
    assert ModelCard(found.card).data.license == "other"
    assert ".eval_results/hf_msa.yaml" in found.files


def test_results_on_a_data_set_of_the_hub_are_written_for_it(checkpoint, push, online):
    push(checkpoint, dataset="user/sample")
    entries = yaml.safe_load(
        Path(hf_hub_download("user/model", ".eval_results/hf_msa.yaml")).read_text(encoding="utf-8")
    )
    assert {"dataset": {"id": "user/sample", "task_id": "mae"}, "value": 0.7512} in entries


def test_without_results_the_card_says_that_nothing_was_measured(checkpoint, trusting):
    (checkpoint / "results.json").unlink()
    found = publish(checkpoint, "user/model", dry_run=True)
    assert "Not measured" in found.card
    assert "license: other" in found.card


def test_a_composite_corpus_is_not_set_beside_the_papers_numbers(checkpoint, trusting):
    tiny_results("composite/aligned_50.pkl").write(checkpoint)
    assert "paper (" not in publish(checkpoint, "user/model", dry_run=True).card


def test_a_license_may_be_stricter_than_that_of_the_corpus_and_never_freer(checkpoint, trusting):
    assert "license: mit" in publish(checkpoint, "user/model", dry_run=True, license="MIT").card
    tiny_results("RAVDESS/speech").write(checkpoint)
    (line,) = problems(checkpoint, license="apache-2.0")
    assert line.endswith("none freer than that of RAVDESS (cc-by-nc-sa-4.0), got apache-2.0")


def test_everything_that_is_wrong_is_said_at_once(checkpoint, trusting):
    edit_weights(checkpoint, lambda weights: weights["classifier.hidden_1.bias"].fill_(torch.nan))
    edit_json(checkpoint / "results.json", command=f"hf-msa train {'/home/'}somebody/x.yaml hf_{'a1B2' * 8}")
    found = problems(checkpoint, license="mit", card="---\nlicense: mit\nlibrary_name: x\n---\nTODO MAE 0.123\n")
    assert any("NaN or infinity in 1, among them classifier.hidden_1.bias" in line for line in found)
    assert any("results.json: expected no path of this machine" in line for line in found)
    assert any("README.md: expected every place to be filled, got 'TODO'" in line for line in found)
    assert any("numbers that stand in results.json, got 0.123" in line for line in found)
    assert "results.json: expected no token, got what looks like one" in found
    assert not any("a1B2" in line for line in found)


def test_a_card_of_ones_own_may_say_what_was_measured(checkpoint, trusting):
    card = "---\nlicense: apache-2.0\nlibrary_name: transformers\n---\nMAE 0.751, Acc-7 41.9%, 686 utterances.\n"
    assert publish(checkpoint, "user/model", dry_run=True, card=card).card == card
    assert "got 0.777" in problems(checkpoint, card=card.replace("0.751", "0.777"))[0]
    assert "expected a license" in problems(checkpoint, card="# nothing\n")[0]


def test_a_card_that_publish_wrote_may_be_edited(checkpoint, trusting):
    written = publish(checkpoint, "user/model", dry_run=True, dataset="user/sample").card
    assert publish(checkpoint, "user/model", dry_run=True, card=written + "Good: 41.9%.\n").card.endswith("41.9%.\n")
    assert "got 42.9%" in problems(checkpoint, card=written + "Good: 42.9%.\n")[0]


def test_a_model_without_a_paper_says_so_in_its_card(checkpoint, trusting, monkeypatch):
    monkeypatch.setattr(PGFNetConfig, "paper", None)
    monkeypatch.setattr("hf_msa.models.modeling_pgf_net.__doc__", "Baseline: all streams in one layer.")
    card = publish(checkpoint, "user/model", dry_run=True).card
    assert "# model\n\nAll streams in one layer.\n\nMade with hf_msa" in card
    assert "## Citation\n\nNo paper describes this model" in card
    assert "arxiv" not in card.lower()
    assert "Differences from the paper" not in card
    assert "\n\n\n" not in card


def test_a_run_whose_weights_are_others_is_refused(checkpoint, trusting):
    model = json.loads((checkpoint / "results.json").read_text())["model"]
    edit_json(checkpoint / "results.json", model=model | {"weights_sha256": weights_sha256(checkpoint)})
    publish(checkpoint, "user/model", dry_run=True)
    edit_weights(checkpoint, lambda weights: weights["classifier.hidden_1.bias"].add_(1))
    assert "results.json: expected the run of these weights, got one" in problems(checkpoint)[0]


@pytest.mark.parametrize("shard", ["../elsewhere.safetensors", "/etc/elsewhere.safetensors", "a/b.safetensors"])
def test_an_index_that_leads_out_of_the_folder_is_refused(checkpoint, shard):
    PGFNetForSequenceClassification.from_pretrained(checkpoint).save_pretrained(checkpoint, max_shard_size="10KB")
    (checkpoint / "model.safetensors").unlink(missing_ok=True)
    index = checkpoint / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"] = dict.fromkeys(content["weight_map"], shard)
    index.write_text(json.dumps(content))
    assert f"expected names of files beside it, got {shard!r}" in problems(checkpoint)[0]
    with pytest.raises(ValueError, match="expected names of files beside it"):
        PGFNetForSequenceClassification.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    "name", ["model", "user/", "../x", "user/a/b", "usér/x", "user/a..b", "user/x.git", "user/" + "x" * 97]
)
def test_a_name_that_cannot_be_a_repository_is_refused(checkpoint, name):
    with pytest.raises(ValueError, match="repo_id: expected user/name, got"):
        publish(checkpoint, name, dry_run=True)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint: expected a folder with config\.json"):
        publish(tmp_path, "user/model", dry_run=True)
    with pytest.raises(ValueError, match="create_pr: expected neither revision nor tag"):
        publish(tmp_path, "user/model", create_pr=True, tag="v1")


def test_what_does_not_load_elsewhere_does_not_go_out(checkpoint, hub, monkeypatch):
    """The fresh process itself is tested in test_fresh_process.py."""
    seen = []

    def check(folder, model, processor):
        seen.append((sorted(path.name for path in folder.iterdir()), type(model).__name__, type(processor).__name__))
        return ["checkpoint: expected another one"]

    monkeypatch.setattr(publication, "reload_problems", check)
    assert problems(checkpoint) == ["checkpoint: expected another one"]
    ((files, *names),) = seen
    assert {"model.safetensors", "layers_pgf_net.py", "tokenizer.json", "README.md"} < set(files)
    assert names == ["PGFNetForSequenceClassification", "PGFNetProcessor"]
    assert not hub.requests


def test_a_missing_tag_is_not_called_a_push_that_failed(checkpoint, push, online):
    online.faults = [Fault("POST .*/tag/", cut=0, times=99)]
    with pytest.raises(OSError, match=r"user/model: sent, but the tag 'v1' was not made; run the same again"):
        push(checkpoint, tag="v1")
    online.faults = []
    push(checkpoint, tag="v1")
    assert "model.safetensors" in online.repository("user/model").at("v1").files


@pytest.mark.parametrize("options", [{"tag": ""}, {"tag": "a b"}, {"revision": ""}, {"revision": "a..b"}])
def test_a_name_that_no_branch_or_tag_can_have_stops_before_anything_is_sent(checkpoint, hub, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected a name without blanks"):
        publish(checkpoint, "user/model", dry_run=True, **options)


def test_a_tag_is_not_called_like_a_branch(checkpoint, push):
    with pytest.raises(ValueError, match="tag: expected a new one, got 'main'"):
        push(checkpoint, tag="main")


def test_a_card_on_a_branch_loads_from_that_branch(checkpoint, trusting):
    assert 'revision="next"' in publish(checkpoint, "user/model", dry_run=True, revision="next").card


def test_results_of_an_older_push_do_not_stay_beside_a_checkpoint_without_any(checkpoint, push, online):
    push(checkpoint)
    (checkpoint / "results.json").unlink()
    push(checkpoint)
    assert "results.json" not in online.repository("user/model").at("main").files


@pytest.mark.parametrize(
    "changes", [{"best_seed": 7}, {"corpus": None}, {"corpus": {"name": "sample"}}, {"machine": {}}, {"versions": {}}]
)
def test_results_that_were_changed_by_hand_are_one_line(checkpoint, trusting, changes):
    edit_json(checkpoint / "results.json", **changes)
    with pytest.raises(ValueError, match=r"results\.json: expected what hf-msa train wrote, got"):
        publish(checkpoint, "user/model", dry_run=True)


def test_results_of_another_model_are_refused(checkpoint, trusting):
    edit_json(checkpoint / "results.json", recipe={"model_type": "agfn"})
    assert "results.json: expected a run of pgf_net, got one of agfn" in problems(checkpoint)


def test_a_model_that_is_a_part_of_another_does_not_go_out_alone(tmp_path):
    model_of("deepmlf_av").save_pretrained(tmp_path)
    processor_of("deepmlf_av").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="checkpoint: expected a model that reads text, got deepmlf_av"):
        publish(tmp_path, "user/model", dry_run=True)


def test_weights_that_are_missing_are_not_made_up(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    del weights["classifier.hidden_1.weight"]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert "1 are not there, among them classifier.hidden_1.weight" in problems(checkpoint)[0]


def test_a_folder_without_processor_or_with_pickled_weights_is_one_line(checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"weights as \*\.safetensors"):
        publish(checkpoint, "user/model", dry_run=True)
    (checkpoint / "pytorch_model.bin").rename(checkpoint / "model.safetensors")
    (checkpoint / "processor_config.json").unlink()
    with pytest.raises(ValueError, match=r"checkpoint: expected processor_config\.json.*save_pretrained"):
        publish(checkpoint, "user/model", dry_run=True)
