"""Gradient boosting by LightGBM, its settings searched by Optuna on the validation split."""

from __future__ import annotations

import time
from typing import Any

import lightgbm
import optuna
from arrays import Arrays, main

ROUNDS, PATIENCE = 2_000, 50


def fitted(train: lightgbm.Dataset, valid: lightgbm.Dataset, chosen: dict[str, Any], seed: int) -> lightgbm.Booster:
    """A model with as many trees as the validation AUC wants."""
    settings = {"objective": "binary", "metric": "auc", "verbosity": -1, "seed": seed, **chosen}
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(settings, train, ROUNDS, valid_sets=[valid], callbacks=[stop])


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
        "max_bin": trial.suggest_categorical("max_bin", [63, 255, 511]),
    }


def tuned(arrays: Arrays, setting: dict[str, Any], seed: int) -> dict[str, Any]:
    """Searches the settings, or goes on where a search was cut off, and fits the best ones with a seed."""
    rows = {split: arrays.split(split) for split in ("train", "valid", "test")}
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0), study_name="lightgbm", load_if_exists=True,
        storage=f"sqlite:///{arrays.folder / 'lightgbm.db'}",
    )  # fmt: skip

    def data(chosen: dict[str, Any]) -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
        binned = {"max_bin": chosen["max_bin"], "feature_pre_filter": False}
        train = lightgbm.Dataset(rows["train"]["features"], rows["train"]["label"], params=binned)
        return train, train.create_valid(rows["valid"]["features"], rows["valid"]["label"])

    def tried(trial: optuna.Trial) -> float:
        chosen = suggested(trial)
        return float(fitted(*data(chosen), chosen, 0).best_score["valid_0"]["auc"])

    done = len([trial for trial in study.trials if trial.state.is_finished()])
    study.optimize(tried, n_trials=max(0, setting["trials"] - done))
    chosen = {**study.best_params, "bagging_freq": 1}
    started = time.monotonic()
    model = fitted(*data(chosen), chosen, seed)
    return {
        "valid_auc": model.best_score["valid_0"]["auc"], "test_scores": model.predict(rows["test"]["features"]),
        "seconds": time.monotonic() - started, "examples": len(rows["train"]["label"]) * model.current_iteration(),
    }  # fmt: skip


if __name__ == "__main__":
    main({"LightGBM (tuned)": tuned})
