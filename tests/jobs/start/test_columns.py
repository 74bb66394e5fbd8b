"""What columns are read as, told from their names, types and values alone."""

from __future__ import annotations

import pytest

from jobs.start.column import Column
from jobs.start.columns import MissingColumnError, guess_catalogue, guess_log, time_of
from jobs.start.ratings import rating_of


def column(
    name: str, *values: object, distinct: int | None = None, rows: int = 1000, ends: tuple[str, str] | None = None
) -> Column:
    texts = tuple(map(str, values))
    least, most = ends or (None, None)
    return Column(
        name=name, kind="text", rows=rows, nulls=0, distinct=distinct or len(set(texts)), least=least, most=most,
        values=texts,
    )  # fmt: skip


TIMES = ("2024-05-01 10:00:00", "2024-05-02 11:30:00")
SECONDS = ("881250949", "891717742")
MOVIES = [
    column("user_id:token", 196, 186, distinct=943),
    column("item_id:token", 242, 302, distinct=1682),
    column("rating:float", 3, 1, 2, 4, 5),
    column("timestamp:float", *SECONDS, distinct=900),
]


def meant(guesses: list) -> dict[str, str]:  # type: ignore[type-arg]
    return {guess.theirs: guess.ours for guess in guesses}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("user_id", "item_id", "event_time"), ("user_id", "item_id", "event_time")),
        (("visitorid", "itemid", "timestamp"), ("visitorid", "itemid", "timestamp")),
        (("customer_unique_id", "product_id", "order_purchase_timestamp"),) * 2,
        (("reviewerID", "asin", "unixReviewTime"),) * 2,
        (("userId", "movieId", "timestamp"),) * 2,
        (("session_id", "article_code", "t_dat_date"),) * 2,
    ],
)
def test_columns_are_known_by_their_names(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    given = [column(names[0], 1, 2), column(names[1], 7, 8), column(names[2], *TIMES), column("page", "a", "b")]
    found = meant(guess_log(given, {}))
    assert found == dict(zip(expected, ("user_id", "item_id", "event_time"), strict=True))


def test_a_user_goes_before_a_session() -> None:
    given = [column("session_id", 1, 2), column("user_id", 1, 2), column("sku", 7, 8), column("ts", *TIMES)]
    assert meant(guess_log(given, {}))["user_id"] == "user_id"


def test_a_name_that_fits_does_not_help_a_value_that_does_not() -> None:
    given = [column("user", 1, 2), column("item", 1, 2), column("time", "10:30", "11:00"), column("day", *TIMES)]
    assert meant(guess_log(given, {}))["day"] == "event_time"
    given = [column("user", 1, 2), column("item", 1, 2), column("time", "10:30", "11:00")]
    with pytest.raises(MissingColumnError, match="event_time"):
        guess_log(given, {})


def test_columns_without_telling_names_are_known_by_their_values() -> None:
    given = [
        column("a", *SECONDS), column("b", "i1", "i2", distinct=300), column("c", "u7", "u8", distinct=400),
        column("price", "1.25", "3.5", distinct=500),
    ]  # fmt: skip
    assert meant(guess_log(given, {}, {"i1", "i2", "i3"})) == {"a": "event_time", "b": "item_id", "c": "user_id"}


@pytest.mark.parametrize(("left_out", "ours"), [(0, "user_id"), (1, "item_id"), (3, "event_time")])
def test_a_log_that_lacks_what_is_needed_says_what(left_out: int, ours: str) -> None:
    given = [column for place, column in enumerate(MOVIES) if place != left_out and column.name != "rating:float"]
    with pytest.raises(MissingColumnError, match=ours):
        guess_log(given, {})


def test_what_the_user_says_goes_before_any_name() -> None:
    given = [column("user_id", 1, 2), column("buyer", 1, 2), column("sku", 7, 8), column("ts", *TIMES)]
    assert meant(guess_log(given, {"buyer": "user_id"}))["buyer"] == "user_id"


def test_an_action_has_few_values_and_a_weight_is_a_number() -> None:
    given = [
        column("user_id", 1, 2), column("item_id", 1, 2), column("event_time", *TIMES),
        column("event_type", "view", "cart"), column("type", "x", distinct=900), column("quantity", 1, 2, 30),
    ]  # fmt: skip
    found = meant(guess_log(given, {}))
    assert (found["event_type"], found["quantity"], found.get("type")) == ("action", "weight", None)


def test_movielens_is_a_log_with_ratings() -> None:
    guesses = guess_log(MOVIES, {})
    assert meant(guesses) == {
        "user_id:token": "user_id", "item_id:token": "item_id", "timestamp:float": "event_time",
    }  # fmt: skip
    rating = rating_of(MOVIES, meant(guesses), {})
    assert rating is not None
    assert (rating.column, rating.above, rating.least_positive) == ("rating:float", 3.5, 4.0)
    form = time_of(MOVIES, guesses)
    assert form is not None
    assert (form.pattern, form.zone) == ("", True)


@pytest.mark.parametrize(
    ("values", "least"),
    [((1, 2, 3, 4, 5), 4), ((0.5, 1, 2, 3, 3.5, 4, 4.5, 5), 4), (tuple(range(1, 11)), 8), ((0, 1), 1), ((4, 5), 5)],
)
def test_the_upper_part_of_a_scale_is_liked(values: tuple[float, ...], least: float) -> None:
    given = [*MOVIES[:2], MOVIES[3], column("stars", *values)]
    rating = rating_of(given, meant(guess_log(given, {})), {})
    assert rating is not None
    assert rating.least_positive == least
    assert max(value for value in values if value < least) < rating.above < least


def test_a_log_with_actions_or_with_prices_has_no_ratings() -> None:
    given = [*MOVIES, column("action", "buy", "view")]
    assert rating_of(given, meant(guess_log(given, {})), {}) is None
    given = [*MOVIES[:2], MOVIES[3], column("score", *range(100), distinct=100)]
    found = meant(guess_log(given, {}))
    assert rating_of(given, found, {}) is None
    assert "weight" not in found.values()


@pytest.mark.parametrize(
    ("seen", "ends", "distinct", "above"),
    [
        ((1,), ("1", "5"), 5, 3.5),
        ((10, 10), ("1", "10"), 10, 7.5),
        (("0",), ("0", "1"), 2, 0.5),
        ((5,), ("", "5"), 2, None),
    ],
)
def test_a_file_that_is_sorted_by_its_rating_has_the_whole_scale(
    seen: tuple[object, ...], ends: tuple[str, str], distinct: int, above: float | None
) -> None:
    given = [*MOVIES[:2], MOVIES[3], column("rating", *seen, distinct=distinct, ends=ends)]
    rating = rating_of(given, meant(guess_log(given, {})), {})
    assert (rating and rating.above) == above


@pytest.mark.parametrize(("name", "said"), [("is_click", {}), ("useful", {"useful": "label"})])
def test_true_and_false_are_a_label(name: str, said: dict[str, str]) -> None:
    given = [*MOVIES[:2], MOVIES[3], column(name, "False", "true", ends=("False", "true"))]
    rating = rating_of(given, meant(guess_log(given, said)), said)
    assert rating is not None
    assert (rating.column, rating.above, rating.is_label) == (name, 0.5, True)


def test_true_and_false_are_no_weight() -> None:
    given = [*MOVIES[:2], MOVIES[3], column("amount", "true", "false")]
    assert "amount" not in meant(guess_log(given, {}))


def test_the_label_that_the_user_names_goes_before_a_rating_and_may_have_any_numbers() -> None:
    given = [*MOVIES, column("share_watched", "0.05", "0.5", "1.9", distinct=900), column("kind", "a", "b")]
    said = {"share_watched": "label"}
    rating = rating_of(given, meant(guess_log(given, said)), said)
    assert rating is not None
    assert (rating.column, rating.least_positive) == ("share_watched", 1.9)


def test_a_catalogue_is_known_by_the_logs_name_for_the_item() -> None:
    items = [
        column("item_id:token", 1, 2), column("movie_title:token_seq", "Toy Story", "GoldenEye"),
        column("release_year:token", 1995, 1996), column("class:token_seq", "Comedy", "Action"),
    ]  # fmt: skip
    item = next(guess for guess in guess_log(MOVIES, {}) if guess.ours == "item_id")
    assert meant(guess_catalogue(items, {}, item)) == {
        "item_id:token": "item_id", "movie_title:token_seq": "title", "class:token_seq": "category",
    }  # fmt: skip


def test_a_catalogue_with_a_bare_id_and_words_is_known_by_its_values() -> None:
    item = next(guess for guess in guess_log(MOVIES, {}) if guess.ours == "item_id")
    items = [column("id", *range(50), rows=50), column("item_name", "red apples", "ripe pears")]
    assert meant(guess_catalogue(items, {}, item)) == {"id": "item_id", "item_name": "title"}
    items = [column("sku", 1, 2), column("what", "red apples 3 lb", "ripe pears")]
    assert meant(guess_catalogue(items, {}, item)) == {"sku": "item_id", "what": "title"}
    with pytest.raises(MissingColumnError, match="title"):
        guess_catalogue([column("sku", 1, 2), column("price", "1.5", "2.5")], {}, item)
