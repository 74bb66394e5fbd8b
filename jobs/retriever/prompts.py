"""Visits whose candidates the ranker rewards, with their users' histories of items."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.search_index import ITEM_ROWS
from jobs.scoring.candidates import scored
from lake.artifacts import Artifact
from lake.run import Run
from models.retriever.histories import UserHistories
from schemas.errors import UserError
from schemas.names import SID_COLUMNS
from schemas.tables import INTERACTIONS


@dataclass(frozen=True)
class Prompts:
    """Visits, in the order of their users and times.

    Attributes:
        user_id: ids of the users, shape (n,).
        histories: the users' histories before the visits; ``now`` is the start of the visit.
    """

    user_id: NDArray[Any]
    histories: UserHistories


def collected(moments: DataFrame, events: DataFrame, most: int) -> Prompts:
    """Visits on the driver. Driver memory: ``most`` visits, and all events of their users, 30 bytes each.

    Args:
        moments: result of :func:`jobs.retriever.moments.moments`.
        events: user_id, user LONG (hash of the user), item INT, time LONG and action INT of all positives.
        most: most visits.

    Raises:
        UserError: there is none.
    """
    chosen = moments.select("key", "user", "time").orderBy(F.xxhash64("key"), "key").limit(most)
    visits = chosen.toPandas().sort_values(["user", "time"], ignore_index=True)
    if visits.empty:
        raise UserError("no moments: no user's visit in the period has an earlier event on an item of the retriever")
    users = np.unique(visits["user"].to_numpy())
    wanted = events.sparkSession.createDataFrame(pd.DataFrame({"user": users}))
    of_users = events.join(F.broadcast(wanted), "user", "left_semi").toPandas()
    place = np.searchsorted(users, of_users["user"].to_numpy())
    columns = [of_users[name].to_numpy() for name in ("item", "time", "action")]
    after = np.full(len(users), of_users["time"].max() + 1)
    every = UserHistories.of(
        place, columns[0].astype(np.int32), columns[1], columns[2].astype(np.int8), now=after
    )  # fmt: skip
    own = np.searchsorted(users, visits["user"].to_numpy())
    ids = of_users.drop_duplicates("user").set_index("user")["user_id"]
    histories = every.at(own, visits["time"].to_numpy())
    return Prompts(ids.loc[visits["user"]].to_numpy(), histories)


def item_events(positives: DataFrame, items: DataFrame, actions: list[str]) -> DataFrame:
    """Positives with the numbers of their items in the retriever's catalogue.

    Args:
        positives: positive events of the log.
        items: item_id and item of the catalogue.
        actions: the positive actions, in the order of their numbers.

    Returns:
        user_id, user LONG (hash of the user), item INT, time LONG (seconds since 1970), action INT.
    """
    number = F.array_position(F.array(*map(F.lit, actions)), F.col("action")) - 1
    seconds = F.floor(F.unix_micros("event_time") / 1_000_000).cast("long").alias("time")
    user = F.xxhash64("user_id").alias("user")
    known = positives.join(items.select("item_id", "item"), "item_id", "inner")
    return known.select("user_id", user, "item", seconds, number.cast("int").alias("action"))


def rewards(
    run: Run, prompts: Prompts, items: NDArray[np.int32], item_id: NDArray[Any], *, made: tuple[Artifact, Artifact]
) -> NDArray[np.float32]:  # fmt: skip
    """The ranker's reward of items: the weighted mean of its tasks' probabilities; NaN for padding and unknown items.

    The ranker scores them on the executors, as ``score`` does. Driver memory: the candidates, 100 bytes each.

    Args:
        run: the run.
        prompts: the visits.
        items: numbers of the items of each visit, padded with -1, shape (n, items).
        item_id: ids of the catalogue.
        made: the rankers, and the search index that they were trained with.

    Returns:
        Shape (n, items).
    """
    visit, place = np.nonzero(items >= 0)
    when = [datetime.fromtimestamp(second, UTC) for second in prompts.histories.now.tolist()]
    asked = pd.DataFrame({
        "visit": visit, "place": place, "user_id": prompts.user_id[visit], "item_id": item_id[items[visit, place]],
        "as_of": [when[row] for row in visit],
    })  # fmt: skip
    known_items = run.spark.read.parquet(f"{made[1].url}/{ITEM_ROWS}")
    positives = run.read(INTERACTIONS.name).where(F.col("action").isin(run.settings.ranking.positive_actions))
    codes = {code: F.coalesce(code, F.lit(-1)) + 1 for code in SID_COLUMNS}
    unique = asked.drop_duplicates(["user_id", "item_id", "as_of"])[["user_id", "item_id", "as_of"]]
    candidates = run.spark.createDataFrame(unique, "user_id STRING, item_id STRING, as_of TIMESTAMP")
    known = candidates.join(known_items, "item_id", "inner").withColumns(codes).persist()
    given = scored(run, known, known_items, positives, made=made).toPandas()
    known.unpersist()
    begin = pd.Timestamp(0, tz="UTC")
    for rows in (given, asked):  # Spark and pandas give times of different units
        rows["second"] = (pd.to_datetime(rows["as_of"], utc=True) - begin) // pd.Timedelta(seconds=1)
    key = ["user_id", "item_id", "second"]
    joined = asked.drop(columns="as_of").merge(given.drop(columns="as_of"), on=key, how="left")
    tasks = run.settings.ranking.task_names
    weights = run.settings.retriever.reinforce.tasks or dict.fromkeys(tasks, 1.0)
    total = sum(joined[f"score_{task}"] * weight for task, weight in weights.items()) / sum(weights.values())
    found = np.full(items.shape, np.nan, np.float32)
    found[joined["visit"], joined["place"]] = total
    return found
