"""Gradient boosting by LightGBM, its settings searched by Optuna on the validation split."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import optuna
from arrays import Arrays, main

ROUNDS, PATIENCE = 2_000, 50
BINS = 255


class Data:
    """Train and validation split, binned once.

    Args:
        arrays: the examples.
        columns: the columns that are read: ``features``, whose last is a category, or ``numbers``.
    """

    def __init__(self, arrays: Arrays, columns: str) -> None:
        train, valid = (arrays.split(split, columns, "label") for split in ("train", "valid"))
        named = [train[columns].shape[1] - 1] if columns == "features" else []
        binned = {"max_bin": BINS, "feature_pre_filter": False, "verbosity": -1}
        self.train = lightgbm.Dataset(train[columns], train["label"], params=binned, categorical_feature=named)
        self.valid = self.train.create_valid(valid[columns], valid["label"])

    def fitted(self, chosen: dict[str, Any], seed: int, *, trial: optuna.Trial | None = None) -> lightgbm.Booster:
        """A model with as many trees as the validation AUC wants; a trial that is far behind others is pruned."""

        def told(state: lightgbm.callback.CallbackEnv) -> None:
            if trial is not None and state.iteration % PATIENCE == PATIENCE - 1:
                trial.report(state.evaluation_result_list[0][2], state.iteration)
                if trial.should_prune():
                    raise optuna.TrialPruned

        settings = {"objective": "binary", "metric": "auc", "verbosity": -1, "max_bin": BINS, "seed": seed, **chosen}
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        return lightgbm.train(settings, self.train, ROUNDS, valid_sets=[self.valid], callbacks=[stop, told])


def suggested(trial: optuna.Trial) -> dict[str, Any]:
    """The settings of a trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 8, 512, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 2_000, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "bagging_freq": 1,
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-8, 10.0, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
    }


def tuned(arrays: Arrays, setting: dict[str, Any], seed: int) -> dict[str, Any]:
    """Searches the settings, or goes on where a search was cut off, and fits the best ones with a seed."""
    columns = setting["columns"]
    data = Data(arrays, columns)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.MedianPruner(),
        study_name=columns, load_if_exists=True, storage=f"sqlite:///{arrays.folder / 'lightgbm.db'}",
    )  # fmt: skip

    def tried(trial: optuna.Trial) -> float:
        return float(data.fitted(suggested(trial), 0, trial=trial).best_score["valid_0"]["auc"])

    done = len([trial for trial in study.trials if trial.state.is_finished()])
    study.optimize(tried, n_trials=max(0, setting["trials"] - done))
    model = data.fitted({**study.best_params, "bagging_freq": 1}, seed)
    scores = model.predict(arrays.split("test", columns)[columns])
    return {
        "valid_auc": model.best_score["valid_0"]["auc"], "test_scores": scores, "examples_per_second": np.nan,
    }  # fmt: skip


if __name__ == "__main__":
    names = ("LightGBM (tuned)", "LightGBM on QARM V2's numbers (tuned)")
    main(dict.fromkeys(names, tuned))
