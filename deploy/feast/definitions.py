"""Feast's view of qarm: the semantic ID of an item, and what the ranker knew of a user and an item at a time.

Run snapshot.py first; then, in this folder, feast apply and feast materialize.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int32, Int64, String

DATA = Path(__file__).parent / "data"

item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)

semantic_ids = FeatureView(
    name="semantic_ids",
    entities=[item],
    ttl=timedelta(0),  # a code stands until another one is assigned
    schema=[
        Field(name="sid", dtype=String),
        Field(name="sid_1", dtype=Int32),
        Field(name="sid_2", dtype=Int32),
        Field(name="sid_3", dtype=Int32),
    ],
    source=FileSource(path=str(DATA / "semantic_ids.parquet"), timestamp_field="assigned_at"),
)

KEYS = ("user_id", "item_id", "event_time")

TYPES = {"float": Float32, "double": Float32, "int32": Int32, "int64": Int64}

ranker_features = FeatureView(
    name="ranker_features",
    entities=[user, item],
    ttl=timedelta(days=28),
    schema=[
        Field(name=field.name, dtype=TYPES[str(field.type)])
        for field in pq.read_schema(DATA / "ranker_features.parquet")
        if field.name not in KEYS
    ],
    source=FileSource(path=str(DATA / "ranker_features.parquet"), timestamp_field="event_time"),
)
