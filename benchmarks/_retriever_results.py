"""Tables of the retrieval benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks._retriever_methods import TITLES, WEEKS_AFTER
from benchmarks._table import write_table
from models.retriever.evaluation import Difference, paired

COMMAND = "python -m benchmarks.retriever"
Measures = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Measures of every user, by method and by ``<part>/<measure>``."""

ALL = ("item/recall@10", "item/recall@50", "item/recall@100", "item/ndcg@10", "item/hit@10", "content/recall@10",
       "content/recall@50", "content/recall@100")  # fmt: skip
BY_PART = ("repeat/recall@10", "repeat/recall@100", "new/recall@10", "new/recall@100", "new_content/recall@10",
           "new_content/recall@100", "cold/recall@100")  # fmt: skip
JUDGED = ("item/recall@10", "item/recall@50", "item/recall@100", "item/ndcg@10", "new_content/recall@100")
"""Measures whose gain over the best other method is given with an interval."""


def pooled(found: Sequence[Measures]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The measures of several days as those of one."""
    return {
        method: {name: np.concatenate([day[method][name] for day in found]) for name in own}
        for method, own in found[0].items()
    }


def over_seeds(found: Sequence[Measures]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The mean of each user's measures over the seeds."""
    return {
        method: {name: np.mean([seed[method][name] for seed in found], axis=0) for name in own}
        for method, own in found[0].items()
    }


def mean(values: NDArray[np.float64]) -> float:
    """The mean over the users who have the measure."""
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else float("nan")


def as_text(found: Measures) -> str:
    """A table for the terminal."""
    names = (*ALL, *BY_PART)
    lines = [" " * 14 + " ".join(f"{name:>12.12}" for name in names)]
    return "\n".join(
        [
            *lines,
            *(
                f"{method:<14}" + " ".join(f"{mean(own[name]):>12.4f}" for name in names)
                for method, own in found.items()
            ),
        ]
    )


def gain(found: Measures, ours: str, name: str) -> tuple[str, float, Difference]:
    """The best other method by a measure, its value, and our paired difference to it."""
    best = max((method for method in found if method != ours), key=lambda method: mean(found[method][name]))
    both = ~np.isnan(found[ours][name]) & ~np.isnan(found[best][name])
    return best, mean(found[best][name]), paired(found[ours][name][both], found[best][name][both])


def write(title: str, days: Mapping[str, Sequence[Measures]], *, ours: str, seeds: int) -> None:
    """Writes the tables of one data set.

    Args:
        title: the data set.
        days: of every day, the measures with each seed.
        ours: our method.
        seeds: number of seeds.
    """
    of_days = {day: over_seeds(found) for day, found in days.items()}
    together = pooled([*of_days.values()])
    users = len(next(iter(together[ours].values())))
    note = (
        f"{title}; {users:,} users and days, on {len(days)} days from {min(days)} to {max(days)}; mean over {seeds}"
        f" seeds. A list is made at the start of a day and measured on what the user took on the first day with an"
        f" event from then on; the whole catalogue is ranked. A content's score is the sum of its items' scores."
        f" Swing, the two towers and the generators were fitted on what came {WEEKS_AFTER} weeks before the first day"
        f" and earlier; the variants of the generator with one seed."
    )
    order = [name for name in TITLES if name in together]
    for part, names in (("", ALL), (", by kind of item", BY_PART)):
        rows = [[TITLES[m], *(f"{mean(together[m][name]):.4f}" for name in names)] for m in order]
        write_table(f"Lists on {title}{part}", COMMAND, ["list", *names], rows, note=note + PARTS * bool(part))
    rows = []
    for day, found in {**of_days, "all": together}.items():
        for name in JUDGED:
            best, theirs, by = gain(found, ours, name)
            rows.append(
                [day, name, f"{mean(found[ours][name]):.4f}", f"{theirs:.4f} ({TITLES[best]})",
                 f"{100 * by.mean / theirs:+.1f} %", f"{by.low:+.4f} to {by.high:+.4f}"]
            )  # fmt: skip
    header = ["day", "measure", TITLES[ours], "best other list", "gain", "95 % of the difference, over users"]
    write_table(f"Lists on {title}, gain over the best other list", COMMAND, header, rows, note=note)


def write_trainings(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Writes the table of the retrievers' trainings on a data set, one row each."""
    note = (
        f"{title}; the figures of the best validation, whose weights are kept. Hits are those of codes, among the first"
        " of a beam of 50. Uneven: the largest load of an expert over the mean load; 1 without a mixture."
    )
    header = ["retriever", "minutes", "train moments", "codes", "loss, nats", "hit@10", "hit@50", "uneven"]
    write_table(f"Trainings of the retriever on {title}", COMMAND, header, rows, note=note)


PARTS = (
    " Repeat: items that the user took before. New: lists without what the user took before, measured on what the user"
    " did not take before. Cold: new items with fewer than 5 events of all users."
)
