"""Scores the valid and test examples, and measures AUC, GAUC and UAUC of the ranker and of baselines."""

from __future__ import annotations

from pyspark.sql import functions as F

from jobs.evaluation.measures import measure
from jobs.evaluation.scores import as_predictions, with_scores
from jobs.evaluation.slices import with_facts
from jobs.examples.frame import Frame, with_split
from jobs.training.rankers import use_rankers
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from lake.side_by_side import side_by_side
from models.ranker.baselines import COLUMNS
from schemas.tables import INTERACTIONS, ITEMS, predictions


def steps(run: Run) -> None:
    """Scores the examples on the executors, writes predictions, and measures.

    Examples that the same weights scored in an earlier night keep their scores.

    Executor memory: the rankers; the scores of one bucket of users; the different scores among a million. Driver
    memory: a row for each partition, slice, task and model.
    """
    tasks = run.settings.ranking.task_names
    rankers = use_rankers(run)
    periods = Frame.from_card(rankers.card["frame"]).periods
    examples = run.read_at("ranker_examples", rankers.card["recipe"]["examples"])
    examples = with_split(examples, periods).where("split <> 'train'")
    interactions = run.read(INTERACTIONS.name)
    in_train = periods.in_train & F.col("action").isin(run.settings.ranking.positive_actions)
    scored = with_scores(run, examples, rankers)
    scored = with_facts(scored, interactions, in_train=in_train, items=run.read(ITEMS.name), tasks=tasks).persist()
    with run.step("score valid and test examples"):
        run.measure("evaluate.examples", scored.count())
    models = rankers.card["models"]
    with run.step("write predictions and measure"):
        side_by_side(
            run.spark,
            lambda: run.overwrite(predictions(tasks), as_predictions(scored, models, tasks)),
            lambda: measure(run, scored, tasks, [*models, *COLUMNS]),
        )
    scored.unpersist()


JOB = Job(
    name="evaluate",
    steps=steps,
    sections=("ranking",),
    reads=("interactions", "items", "ranker_examples"),
    writes=("predictions",),
    uses=("ranker",),
    consults=("runs",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
