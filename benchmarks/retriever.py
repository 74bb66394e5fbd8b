"""Compares qarm's fused candidates with every source alone and with other baselines, on the whole catalogue.

    python -m benchmarks.retriever [--data NAME] [--folder FOLDER] [--seeds N]

Data sets: Complete Journey with all households, and MovieLens 100k from the ``recbole`` package (``pip install
--no-deps recbole==1.2.1``). At the start of a day, each user's list is made from what came before; it is measured on
what the user took on the first day with an event from then on. Settings were chosen on earlier days. Results of a data
set and day that are in the folder are not made again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks import _retriever_results as results
from benchmarks._cornac import CORNAC
from benchmarks._generators import GENERATORS, figures_of
from benchmarks._retriever_data import DATA, END, Log, moment
from benchmarks._retriever_methods import (
    OURS,
    SASREC,
    Fitted,
    asked_users,
    fitted,
    fitted_on,
    learned,
    lone_generators,
    parameters_of,
    scores_of,
)
from benchmarks._sasrec import sasrec_scores, train_sasrec
from models.retriever.background import Asked, Background
from models.retriever.evaluation import AT, measured, of_groups, part_of, without
from models.retriever.lessons import next_taken
from models.retriever.pool import Pool
from models.retriever.sparse_rows import Scores, best_of_rows
from schemas.settings import load_settings

USERS = 256
"""Users whose lists are made at a time."""
COLD = 5
"""An item with fewer events before the day is cold."""


def lists(
    scores: Scores, known: Background, popular: NDArray[np.float32], taken: sparse.csr_matrix, *, again: bool
) -> dict[str, NDArray]:
    """Lists of items, of contents, and of both without what the user took before; the most popular fill them up.

    A content's score is the sum of its items' scores. Where hardly any user takes an item again, as on MovieLens, no
    list of any method holds what the user took before.

    Args:
        scores: one row a user.
        known: what is known of all users.
        popular: popularity of items, from 0 to 1.
        taken: what each user took before, shape (users, items).
        again: whether users take items again.
    """
    found = {}
    dense = scores.toarray() if sparse.issparse(scores) else np.array(scores)
    least = float(dense[dense > 0].min(initial=1.0))
    dense += popular * min(least, 1e-3) * 1e-3
    if not again:
        dense[taken.nonzero()] = 0
    contents = int(known.content.max()) + 1
    member = sparse.csr_matrix((np.ones(known.items, np.float32), (np.arange(known.items), known.content)))
    held = {"item": taken, "content": of_groups(taken, known.content, contents)}
    for level, own in (("item", dense), ("content", np.asarray((member.T @ dense.T).T))):
        most = max(AT) + int(np.diff(held[level].indptr).max(initial=0))
        ranked = best_of_rows(own, min(most, own.shape[1]))[0]
        found[level] = ranked[:, : max(AT)]
        found[f"new_{level}"] = without(ranked, held[level], max(AT))
    return found


Found = dict[str, dict[str, NDArray[np.float64]]]
"""Measures of every user, by method and by ``<part>/<measure>``; NaN for none."""


def measures(log: Log, day: str, fits: list[Fitted], *, data: str, folder: Path) -> list[Found]:
    """The measures at one day, with every seed.

    Args:
        log: the log.
        day: the day.
        fits: what was fitted before, with every seed.
        data: name of the data set.
        folder: where results are kept.
    """
    file = folder / f"{data}_{day}_{len(fits)}.npz"
    if not file.exists():
        found = _measured(log, day, fits, data=data)
        np.savez(
            file, **{f"{method}|{seed}|{name}": own[name] for (method, seed), own in found.items() for name in own}
        )
    stored: list[Found] = [{} for _ in fits]
    for key, values in np.load(file).items():
        method, seed, name = key.split("|")
        for place in range(len(fits)) if seed == "-1" else [int(seed)]:
            stored[place].setdefault(method, {})[name] = values
    return stored


def _measured(
    log: Log, day: str, fits: list[Fitted], *, data: str
) -> dict[tuple[str, int], dict[str, NDArray[np.float64]]]:
    settings = load_settings()
    truth = next_taken(log.all.histories, log.all.items, moment(day), END)
    made: dict[tuple[str, int], list[dict[str, NDArray]]] = {}
    for seed, fit in enumerate(fits):
        known = fit.known.before(moment(day))
        users = asked_users(log, day)
        lessons = learned(log, known, settings, data, after=fit.until)
        print(f"{data} {day}, seed {seed}: {len(users):,} users, {len(lessons.taken):,} lessons", file=sys.stderr)
        trees = fitted(lessons, settings, seed=seed)
        pool = Pool(known, *parameters_of(settings, data))
        lone, net = lone_generators(pool, fit), train_sasrec(known, SASREC[data], seed)
        popular = known.popularity(28.0)
        popular /= max(float(popular.max()), 1.0)
        for start in range(0, len(users), USERS):
            some = users[start : start + USERS]
            asked = Asked(known.histories.take(some), some)
            scored = [*scores_of(pool, trees, lone, asked, seed=seed), ("sasrec", seed, sasrec_scores(net, asked))]
            for name, other in fit.others.items():
                rows = slice(start, start + len(some))
                scored.append((name, seed if CORNAC[name].seeded else -1, other.scores(day, rows)))
            for method, of, scores in scored:
                made.setdefault((method, of), []).append(
                    lists(scores, known, popular, known.taken[some], again=pool.are_taken_again)
                )
    return {key: _of_parts(parts, known, truth[users], known.taken[users]) for key, parts in made.items()}


def _of_parts(
    made: list[dict[str, NDArray]], known: Background, truth: sparse.csr_matrix, taken: sparse.csr_matrix
) -> dict[str, NDArray[np.float64]]:
    ranked = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
    contents = int(known.content.max()) + 1
    of_content, held = (of_groups(own, known.content, contents) for own in (truth, taken))
    events = np.bincount(known.histories.item, minlength=known.items)
    new, new_content = part_of(truth, taken, inside=False), part_of(of_content, held, inside=False)
    parts = {
        "item": (ranked["item"], truth),
        "content": (ranked["content"], of_content),
        "repeat": (ranked["item"], part_of(truth, taken, inside=True)),
        "new": (ranked["new_item"], new),
        "new_content": (ranked["new_content"], new_content),
        "cold": (ranked["new_item"], part_of(new, events < COLD, inside=True)),
    }
    found = {}
    for part, (own, what) in parts.items():
        rows = np.flatnonzero(np.diff(what.indptr) > 0)
        for name, values in measured(own, what).values.items():
            whole = np.full(truth.shape[0], np.nan)
            whole[rows] = values
            found[f"{part}/{name}"] = whole
    return found


def benchmark(data: str, folder: Path, seeds: int) -> None:
    """Measures one data set and writes its tables."""
    log = DATA[data]()
    fits = fitted_on(data, log, log.tests, seeds=seeds, folder=folder)
    days = {day: measures(log, day, fits, data=data, folder=folder) for day in log.tests}
    results.write(log.title, days, ours=OURS, seeds=seeds)
    rows = [[GENERATORS[name].title, *figures_of(made.record)] for name, made in fits[0].generators.items()]
    results.write_trainings(log.title, rows)


def main() -> None:
    """Measures the data sets, or the days to tune on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", choices=DATA, help="only this data set")
    parser.add_argument("--folder", type=Path, help="where results are kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--day", help="measure this day alone and print it, with one seed; with --data")
    parser.add_argument("--tune", action="store_true", help="print the results of the days to tune on, one seed")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="qarm-bench-retriever-"))
    folder.mkdir(parents=True, exist_ok=True)
    for data in [options.data] if options.data else DATA:
        if options.tune or options.day:
            log = DATA[data]()
            days = [options.day] if options.day else log.tune
            fits = fitted_on(data, log, days, seeds=1, folder=folder)
            found = [measures(log, day, fits, data=data, folder=folder)[0] for day in days]
            print(results.as_text(results.pooled(found)))
        else:
            benchmark(data, folder, options.seeds)


if __name__ == "__main__":
    main()
