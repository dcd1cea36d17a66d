"""What users of transformers type: `model_init`, and a search for arguments with optuna."""

import optuna
import pytest
from tiny_corpus import tiny_arguments, tiny_dataset, tiny_model, tiny_processor

from hf_msa.training import MsaTrainer, add_lora


@pytest.fixture
def make_trainer(tmp_path):
    def make(model_init=lambda: tiny_model(), **arguments):
        return MsaTrainer(
            model_init=model_init,
            args=tiny_arguments(tmp_path, **{"num_train_epochs": 1} | arguments),
            processing_class=tiny_processor(),
            train_dataset=tiny_dataset(16),
            eval_dataset=tiny_dataset(8, seed=1),
        )

    return make


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def rates(trial):
    return {"learning_rate": trial.suggest_categorical("learning_rate", [1e-4, 1e-2])}


def test_a_search_is_for_the_metric_that_chooses_the_best_epoch(make_trainer):
    trainer = make_trainer()
    evaluated = []
    evaluate = trainer.evaluate
    trainer.evaluate = lambda *args, **kwargs: evaluated.append(evaluate(*args, **kwargs)) or evaluated[-1]
    best = trainer.hyperparameter_search(rates, n_trials=2, backend="optuna")
    assert best.objective == min(metrics["eval_mae"] for metrics in evaluated)
    assert len(evaluated) == 2
    higher = make_trainer(metric_for_best_model="acc_7")
    assert higher.hyperparameter_search(rates, n_trials=1, backend="optuna").objective <= 1


def test_a_search_may_be_for_something_else(make_trainer):
    trainer = make_trainer(model_init=lambda: add_lora(tiny_model(), r=2))
    best = trainer.hyperparameter_search(
        rates, lambda metrics: -metrics["eval_corr"], n_trials=1, backend="optuna", direction="minimize"
    )
    assert -1 <= best.objective <= 1
