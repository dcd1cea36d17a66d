"""MsaTrainer: what it adds to Trainer, and that what Trainer promises still holds."""

import numpy as np
import pytest
import torch
from tiny_corpus import tiny_arguments, tiny_dataset, tiny_model, tiny_processor, tiny_trainer, weights, with_labels
from tiny_kinds import KINDS, fixed_directions, model_of, trainer_of
from tiny_models import WITH_TEXT
from transformers import (
    AutoModelForSequenceClassification,
    AutoProcessor,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_msa import PGFNetForSequenceClassification, PGFNetProcessor
from hf_msa.data.lengths import LENGTH, add_lengths
from hf_msa.errors import CorpusError, RecipeError
from hf_msa.training import MsaTrainer, add_lora

NOT_SAVED = {"eval_strategy": "no", "save_strategy": "no"}


def assert_same_weights(found, expected, **tolerances):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}", **tolerances)


class Losses(TrainerCallback):
    """Collects the loss of every step, logged with `logging_steps=1`."""

    def __init__(self):
        self.found = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.found.append(logs["loss"])


class Spoil(TrainerCallback):
    """Ruins the model at the end of an epoch and all later ones."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, args, state, control, model=None, **kwargs):
        if round(state.epoch) >= self.epoch:
            with torch.no_grad():
                for parameter in model.classifier.parameters():
                    parameter.fill_(5.0)


@pytest.mark.parametrize("kind", KINDS)
def test_accumulated_batches_train_as_one_large_batch(kind, tmp_path):
    trained = {}
    start = weights(model_of(kind))
    for size, steps in ((16, 1), (4, 4)):
        trainer = trainer_of(
            kind,
            tmp_path,
            tiny_dataset(48),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=steps,
            learning_rate=0.1,
            **NOT_SAVED,
        )
        assert trainer.args.train_sampling_strategy == "group_by_length"
        with fixed_directions():
            trainer.train()
        assert trainer.state.global_step == 6
        trained[size] = weights(trainer.model)
    assert_same_weights(trained[4], trained[16], atol=2e-6, rtol=1e-5)
    assert max((trained[16][name] - value).abs().max() for name, value in start.items()) > 0.02


def test_bf16_trains_float32_weights_and_the_gates(tmp_path):
    losses, start = Losses(), weights(tiny_model())
    trainer = tiny_trainer(
        tmp_path, callbacks=[losses], bf16=True, **NOT_SAVED | {"logging_strategy": "steps", "logging_steps": 1}
    )
    trainer.train()
    assert trainer.accelerator.mixed_precision == "bf16"
    assert len(losses.found) == 8
    assert torch.isfinite(torch.tensor(losses.found)).all()
    trained = weights(trainer.model)
    assert {value.dtype for value in trained.values() if value.is_floating_point()} == {torch.float32}
    moved = {name for name, value in trained.items() if not torch.equal(value, start[name])}
    trainable = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert moved == trainable
    assert any(".gate" in name for name in moved)


def test_a_plain_trainer_with_the_processor_trains_the_same(tmp_path):
    train = add_lengths(tiny_dataset(32), tiny_processor())
    shared = {
        "learning_rate": 0.01,
        "per_device_train_batch_size": 8,
        "max_steps": 3,
        "logging_strategy": "steps",
        "logging_steps": 1,
    }
    ours, plain = Losses(), Losses()
    trainer = tiny_trainer(tmp_path, tiny_model(dropout=0.1), train, callbacks=[ours], **NOT_SAVED | shared)
    trainer.train()
    plain_trainer = Trainer(
        tiny_model(dropout=0.1),
        TrainingArguments(
            output_dir=str(tmp_path),
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            report_to="none",
            **NOT_SAVED | shared,
        ),
        data_collator=tiny_processor().collate,
        train_dataset=train,
        callbacks=[plain],
    )
    plain_trainer.train()
    assert len(ours.found) == 3
    assert ours.found == plain.found
    assert_same_weights(weights(trainer.model), weights(plain_trainer.model), atol=0, rtol=0)


def test_the_epoch_of_the_lowest_validation_mae_is_kept(tmp_path):
    trainer = tiny_trainer(tmp_path, callbacks=[Spoil(epoch=3)], num_train_epochs=4)
    trainer.train()
    maes = [log["eval_mae"] for log in trainer.state.log_history if "eval_mae" in log]
    assert len(maes) == 4
    best = min(range(4), key=lambda epoch: maes[epoch])
    assert best < 2
    assert trainer.state.best_global_step == 4 * (best + 1)
    assert trainer.evaluate()["eval_mae"] == pytest.approx(maes[best], abs=1e-6)


def test_the_best_epoch_of_a_lora_run_is_kept(tmp_path):
    class SpoilLora(Spoil):
        def on_epoch_end(self, args, state, control, model=None, **kwargs):
            super().on_epoch_end(args, state, control, model.get_base_model(), **kwargs)

    trainer = tiny_trainer(tmp_path, add_lora(tiny_model(), r=2), callbacks=[SpoilLora(epoch=2)], num_train_epochs=2)
    trainer.train()
    maes = [log["eval_mae"] for log in trainer.state.log_history if "eval_mae" in log]
    assert maes[1] > maes[0] + 0.5
    assert trainer.evaluate()["eval_mae"] == pytest.approx(maes[0], abs=1e-6)


def test_a_lower_error_is_better_and_so_is_a_higher_accuracy(tmp_path):
    arguments = tiny_trainer(tmp_path).args
    assert (arguments.metric_for_best_model, arguments.greater_is_better) == ("mae", False)
    assert tiny_arguments(tmp_path, metric_for_best_model="eval_mae").greater_is_better is False
    for metric in ("corr", "acc_2_non0"):
        assert tiny_arguments(tmp_path, metric_for_best_model=metric).greater_is_better is True


def test_training_stops_when_the_validation_metric_is_no_better_for_so_many_epochs(tmp_path):
    trainer = tiny_trainer(tmp_path, learning_rate=0.0, num_train_epochs=9, early_stopping_patience=2)
    trainer.train()
    assert trainer.state.epoch == 3


def test_training_does_not_stop_early_without_patience_or_without_evaluation(tmp_path):
    def stops(**arguments):
        return EarlyStoppingCallback in map(type, tiny_trainer(tmp_path, **arguments).callback_handler.callbacks)

    assert stops()
    assert not stops(early_stopping_patience=None)
    assert not stops(**NOT_SAVED)


@pytest.mark.parametrize("patience", [0, -1])
def test_a_patience_of_no_epoch_is_refused(tmp_path, patience):
    with pytest.raises(ValueError, match=f"early_stopping_patience: expected at least 1 or None, got {patience}"):
        tiny_arguments(tmp_path, early_stopping_patience=patience)


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "lora"])
def test_every_checkpoint_of_a_run_holds_the_processor(tmp_path, wrapped):
    model = add_lora(tiny_model(), r=2) if wrapped else tiny_model()
    processor = tiny_processor("none")
    tiny_trainer(tmp_path, model, processor=processor, save_total_limit=None).train()
    folders = sorted(tmp_path.glob("checkpoint-*"))
    assert [folder.name for folder in folders] == ["checkpoint-4", "checkpoint-8"]
    for folder in folders:
        loaded = AutoProcessor.from_pretrained(folder)
        assert type(loaded) is PGFNetProcessor
        assert loaded.alignment == "none"
        assert loaded.tokenizer.get_vocab() == processor.tokenizer.get_vocab()


def test_a_saved_model_loads_by_the_auto_classes_and_scores_the_same(tmp_path):
    valid = tiny_dataset(16, seed=1)
    trainer = tiny_trainer(tmp_path / "run", valid=valid)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    expected = trainer.predict(valid).predictions
    for folder in (tmp_path / "saved", tmp_path / "run" / f"checkpoint-{trainer.state.best_global_step}"):
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        processor = AutoProcessor.from_pretrained(folder)
        assert type(model) is PGFNetForSequenceClassification
        again = tiny_trainer(tmp_path / "again", model, valid=valid, processor=processor)
        assert (again.predict(valid).predictions == expected).all()


def test_scores_come_in_the_order_of_the_rows(tmp_path):
    processor = tiny_processor()
    rows = add_lengths(tiny_dataset(24, seed=2), processor)
    trainer = tiny_trainer(tmp_path, processor=processor, per_device_eval_batch_size=4)
    trainer.model.eval()
    prediction = trainer.predict(rows)
    assert prediction.label_ids.tolist() == rows["label"][:]
    with torch.no_grad():
        expected = [trainer.model(**processor.collate([row])).logits.item() for row in rows]
    assert prediction.predictions[:, 0].tolist() == pytest.approx(expected, abs=1e-5)
    assert len({round(score, 5) for score in expected}) > 12


def test_training_batches_are_of_like_lengths(tmp_path):
    def spread(strategy):
        trainer = tiny_trainer(tmp_path, train=tiny_dataset(96), train_sampling_strategy=strategy)
        torch.manual_seed(0)
        lengths = [batch["attention_mask"].sum(dim=1) for batch in trainer.get_train_dataloader()]
        assert sum(map(len, lengths)) == 96
        return sum(float(length.max() - length.min()) for length in lengths) / len(lengths)

    assert spread("group_by_length") < 0.5 * spread("random")


def test_rows_that_bring_their_lengths_are_grouped_by_these(tmp_path):
    train = tiny_dataset(32).add_column(LENGTH, list(range(32)))
    trainer = tiny_trainer(tmp_path, train=train)
    assert list(trainer.train_dataset[LENGTH]) == list(range(32))


def classified(rows):
    """Return rows whose labels are 0, 1 and 2 in place of below, at and above zero."""
    return with_labels(rows, [int(np.sign(label)) + 1 for label in rows["label"]])


def test_a_fresh_model_may_come_from_a_function(tmp_path):
    trainer = MsaTrainer(
        model_init=lambda: tiny_model(),
        args=tiny_arguments(tmp_path, max_steps=1, **NOT_SAVED),
        processing_class=tiny_processor(),
        train_dataset=tiny_dataset(8),
        eval_dataset=tiny_dataset(8, seed=1),
    )
    trainer.train()
    once = weights(trainer.model)
    trainer.train()
    assert_same_weights(weights(trainer.model), once, atol=0, rtol=0)
    assert "eval_mae" in trainer.evaluate()
    with pytest.raises(CorpusError, match="train_dataset: audio: expected"):
        MsaTrainer(
            model_init=lambda: tiny_model(),
            args=tiny_arguments(tmp_path, **NOT_SAVED),
            processing_class=tiny_processor(),
            train_dataset=tiny_dataset(8, audio_dim=9),
        )


@pytest.mark.parametrize("kind", ["pgf_net", "agfn"])
def test_label_smoothing_changes_the_cross_entropy_of_a_classifier_and_no_other_part_of_its_loss(kind, tmp_path):
    rows = classified(tiny_dataset(8))
    losses = {}
    for smoothing in (0.0, 0.2):
        trainer = trainer_of(
            kind, tmp_path, rows, {"num_labels": 3}, valid=rows, label_smoothing_factor=smoothing, **NOT_SAVED
        )
        inputs = trainer.data_collator([rows[i] for i in range(8)])
        trainer.model.train()
        with fixed_directions():
            losses[smoothing], outputs = trainer.compute_loss(trainer.model, dict(inputs), return_outputs=True)
    likelihoods = outputs.logits.float().log_softmax(dim=-1)
    expected = 0.2 * (likelihoods[torch.arange(8), inputs["labels"].long()] - likelihoods.mean(dim=-1)).mean()
    torch.testing.assert_close(losses[0.2] - losses[0.0], expected)
    assert (outputs.losses is None) == (kind == "pgf_net")


def test_label_smoothing_of_a_regression_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="label_smoothing_factor: expected 0, since a regression has no classes"):
        tiny_trainer(tmp_path, label_smoothing_factor=0.1)


@pytest.mark.parametrize("kind", WITH_TEXT)
def test_neftune_adds_noise_to_the_tokens_of_every_model_that_reads_text(kind, tmp_path):
    rows, trained = tiny_dataset(8), {}
    for alpha in (None, 5.0):
        trainer = trainer_of(kind, tmp_path, rows, neftune_noise_alpha=alpha, max_steps=1, **NOT_SAVED)
        with fixed_directions():
            trainer.train()
        trained[alpha] = weights(trainer.model)
    assert any(not torch.equal(value, trained[None][name]) for name, value in trained[5.0].items())


def test_neftune_is_refused_where_no_text_is_read(tmp_path):
    processor = tiny_processor()
    processor.streams = ["audio", "visual"]
    for trainer in (
        lambda: trainer_of("deepmlf_av", tmp_path, neftune_noise_alpha=5.0),
        lambda: tiny_trainer(tmp_path, processor=processor, neftune_noise_alpha=5.0),
    ):
        with pytest.raises(RecipeError, match="neftune_noise_alpha: expected null, since this model is given no text"):
            trainer()


def test_metrics_of_the_users_own_choose_the_best_epoch(tmp_path):
    trainer = MsaTrainer(
        tiny_model(),
        tiny_arguments(tmp_path, metric_for_best_model="even", num_train_epochs=1),
        processing_class=tiny_processor(),
        train_dataset=tiny_dataset(8),
        eval_dataset=tiny_dataset(8, seed=1),
        compute_metrics=lambda predicted: {"even": 2.0},
    )
    trainer.train()
    assert trainer.state.best_metric == 2
