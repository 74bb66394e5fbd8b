"""Reinforces the retriever: the ranker rewards what it writes, and hit rate is watched (OneMall, arXiv 2601.21770)."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.sql import functions as F

from jobs.retriever.feeds import feed_of
from jobs.retriever.moments import coded_events, moments
from jobs.retriever.prompts import Prompts, collected, item_events, rewards
from jobs.scoring.candidates import index_of
from jobs.training.rankers import use_rankers
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job
from lake.local_copies import local_copies
from lake.periods import Periods, split_periods
from lake.run import Run
from lake.scratch import scratch_folder
from lake.staging import staged
from models.feed.feed import Feed
from models.feed.file_systems import reads_in_place
from models.retriever.catalogue import ITEMS
from models.retriever.items import ItemRule, best_items, items_of
from models.retriever.network.network import Batch
from models.retriever.saved import CARD, WEIGHTS, save_network
from models.retriever.serving import Retriever
from models.retriever.training.reinforcement import Reinforcement, ReinforcementParameters, Rewarded
from models.retriever.training.training import validation_figures
from schemas.errors import UserError, user_mistakes
from schemas.parameters import take
from schemas.settings import Settings
from schemas.tables import INTERACTIONS

log = logging.getLogger("qarm")

LIST = 10
"""Items of a list whose mean reward is measured."""
HIT_RATES = ("hit_rate_10", "hit_rate_50")


@dataclass(frozen=True)
class Figures:
    """What is measured of a retriever: mean reward of a list of ten, and hit rates of codes."""

    reward: float
    hit_rate_10: float
    hit_rate_50: float

    def passes(self, before: Figures, most_lost: float) -> bool:
        """Whether the hit rates fell by no larger share than ``most_lost`` from those before."""
        return all(getattr(self, name) >= (1 - most_lost) * getattr(before, name) for name in HIT_RATES)


@dataclass(frozen=True)
class Judge:
    """Measures a retriever and rewards what it writes.

    Attributes:
        run: the run.
        made: the rankers, and the search index that they were trained with.
        rule: which items of a code are scored.
        valid: feed of the validation moments.
        prompts: visits of the validation period.
    """

    run: Run
    made: tuple[Artifact, Artifact]
    rule: ItemRule
    valid: Feed
    prompts: Prompts

    def figures(self, retriever: Retriever) -> Figures:
        """Reward and hit rates on the validation period."""
        generated = retriever.generate(self.prompts.histories, beam=50)
        found = items_of(generated, self.prompts.histories, retriever.catalogue, self.rule, most=LIST)
        reward = np.nanmean(self.reward_of(self.prompts, found.items, retriever))
        hits = validation_figures(retriever.network, self.valid.epoch(0))
        return Figures(float(reward), *(hits[name] for name in HIT_RATES))

    def reward_of(self, prompts: Prompts, items: NDArray[np.int32], retriever: Retriever) -> NDArray[np.float32]:
        """The reward of items, see :func:`jobs.retriever.prompts.rewards`."""
        ids = np.asarray(retriever.catalogue.item_id.to_numpy(zero_copy_only=False))
        return rewards(self.run, prompts, items, ids, made=self.made)

    def rewarded(self, retriever: Retriever, prompts: Prompts, group: int) -> Rewarded:
        """The beam of each prompt, and the reward of each code: that of its best item by the rule."""
        beam = retriever.generate(prompts.histories, beam=group)
        items = best_items(beam, prompts.histories, retriever.catalogue, self.rule)
        found = self.reward_of(prompts, items, retriever)
        return Rewarded(torch.from_numpy(beam.codes), torch.from_numpy(found))


def endless(feed: Feed) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    for epoch in count():
        yield from feed.epoch(epoch)


def rounds(
    run: Run, retriever: Retriever, judge: Judge, prompts: Prompts, *, train: Feed
) -> dict[str, torch.Tensor] | None:  # fmt: skip
    """Reinforces the retriever; the weights of the best round that kept its hit rates, None if none gained.

    Each round is measured as ``retriever.reinforced_<figure>`` with the slice ``round <n>``; round 0 is the start.
    """
    settings = run.settings.retriever.reinforce
    parameters = take(ReinforcementParameters, settings, **_of_training(run.settings))
    batch = min(train.batch_size, train.rows)
    steps = settings.rounds * int(np.ceil(len(prompts.user_id) / max(1, round(settings.share * batch))))
    policy = Reinforcement(retriever.network, copy.deepcopy(retriever.network), parameters, endless(train))
    columns = retriever.batch_of(prompts.histories)
    before = judge.figures(retriever)
    _measure(run, 0, before, {})
    best, weights = before, None
    for number in range(1, settings.rounds + 1):
        with run.step(f"round {number}: reward"):
            rewarded = judge.rewarded(retriever, prompts, settings.group)
        with run.step(f"round {number}: train"):
            curve = policy.round(columns, rewarded, steps)
            retriever.network.eval()
        with run.step(f"round {number}: measure"):
            found = judge.figures(retriever)
        _measure(run, number, found, curve)
        if found.passes(before, settings.most_lost_hit_rate) and found.reward > best.reward:
            best, weights = found, copy.deepcopy(retriever.network.state_dict())
    run.measure("retriever.reward_gain", best.reward / before.reward - 1)
    return weights


def _of_training(settings: Settings) -> dict[str, float | int]:
    """Parameters that reinforcement shares with the training before it."""
    own = settings.retriever
    names = ("weight_decay", "largest_gradient", "balance_rate", "seed")
    return {name: getattr(own, name) for name in names}


def _measure(run: Run, number: int, found: Figures, curve: dict[str, float]) -> None:
    for name, value in {**vars(found), **curve}.items():
        run.measure(f"retriever.reinforced_{name}", value, f"round {number}")


def steps(run: Run) -> None:
    """Rewards candidates of the retriever's own beam by the ranker, trains on them, and keeps what gained.

    A new retriever is published only if the mean reward of its lists rose on the validation period and its hit rates
    at 10 and 50 fell by at most ``most_lost_hit_rate``; else the present one stays. Driver memory: that of
    train_retriever, and the events of the users of ``prompts`` visits. Executor memory: that of score.
    """
    settings = run.settings.retriever
    before = run.use("retriever", "train_retriever")
    rankers = use_rankers(run)
    made = (rankers, index_of(run, rankers))
    folder = run.lake.artifacts.fetch(before)
    with user_mistakes():
        retriever = Retriever.load(folder)
    shape = retriever.network.shape
    torch.manual_seed(settings.seed)
    interactions = run.read(INTERACTIONS.name)
    periods, actions = split_periods(interactions, run.settings.split), retriever.actions
    positives = interactions.where(F.col("action").isin(actions) & (F.col("event_date") < F.lit(periods.test_from)))
    items = run.spark.read.parquet(f"{before.url}/{ITEMS}")
    events, by_item = coded_events(positives, items, actions), item_events(positives, items, actions)
    spans = _spans(periods)
    sizes = {"train": settings.moments, "valid": settings.valid_moments}
    rows = {s: moments(events, *spans[s], most=sizes[s], shape=shape.histories, settings=settings) for s in spans}
    with (
        local_copies(run.lake.files, reads_in_place) as copies,
        staged(run, "train", rows["train"]) as train,
        staged(run, "valid", rows["valid"]) as valid,
        scratch_folder() as out,
    ):
        prompts = collected(train.rows, by_item, settings.reinforce.prompts)
        held_out = collected(valid.rows, by_item, settings.reinforce.valid_prompts)
        feeds = [
            feed_of(run, copies(part.files), shape, shuffle_rows=shuffle)
            for part, shuffle in ((train, settings.shuffle_rows), (valid, 0))
        ]
        judge = Judge(run, made, take(ItemRule, settings.items), feeds[1], held_out)
        weights = rounds(run, retriever, judge, prompts, train=feeds[0])
        if weights is None:
            log.warning("reinforce_retriever: no round gained reward and kept its hit rates; %s stays", before.version)
            return
        retriever.network.load_state_dict(weights)
        _publish(run, retriever, before, rankers, files=(folder, out))


def _spans(periods: Periods) -> dict[str, tuple[date, date]]:
    since, until = periods.rank_from or periods.first_day, periods.valid_from
    return {"train": (since, until), "valid": (until, periods.test_from)}


def _publish(
    run: Run, retriever: Retriever, before: Artifact, rankers: Artifact, *, files: tuple[Path, Path]
) -> None:  # fmt: skip
    folder, out = files
    save_network(retriever.network, out, retriever.actions)
    for name in before.files:
        if name not in {WEIGHTS, CARD}:
            shutil.copy(folder / name, out)
    recipe = {"retriever": before.version, "ranker": rankers.version, "settings": run.settings.digest(["retriever"])}
    card = {name: value for name, value in before.card.items() if name != "recipe"}
    run.publish("retriever", out, recipe, **card | {"reinforced": before.version})


def check(settings: Settings) -> None:
    """Refuses weights of tasks that there are not.

    Raises:
        UserError: a task of ``retriever.reinforce.tasks`` is none, or all of its weights are 0.
    """
    weights = settings.retriever.reinforce.tasks
    if unknown := sorted({*weights} - {*settings.ranking.task_names}):
        raise UserError(f"retriever.reinforce.tasks: {unknown[0]} is no task; ranking.tasks lists the tasks")
    if weights and not sum(weights.values()):
        raise UserError("retriever.reinforce.tasks: all weights are 0; set one above 0, or {} for the mean")


JOB = Job(
    name="reinforce_retriever",
    steps=steps,
    sections=("retriever", "ranking", "split"),
    reads=("interactions",),
    uses=("ranker", "search_index"),
    makes=("retriever",),
    after=("train_retriever",),
    nightly=False,
    check=check,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
