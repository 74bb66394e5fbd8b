"""What the jobs that write texts about contents share: who writes, about which contents, and beside which partners."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.transforms.contents import accepted, by_content, check_endpoint, distinct_contents, endpoint_parameters
from jobs.transforms.partners import with_partners
from lake.indexing import with_row_number
from lake.run import Run
from models.llm.endpoint import EndpointParameters
from schemas.errors import UserError
from schemas.language_model_sections import EndpointSettings


def writer_of(section: str, writer: str, endpoint: EndpointSettings, wordings: str) -> str:
    """Name of what writes, as tables keep it; another one writes about every content again.

    Args:
        section: section of the settings that names the writer.
        writer: its setting ``writer``, fields or endpoint.
        endpoint: the ``[endpoint]`` section.
        wordings: version of the wordings of the writer from fields.

    Raises:
        UserError: an endpoint is to write, and none is named.
    """
    if writer == "fields":
        return wordings
    if not endpoint.url:
        raise UserError(
            f"{section}.writer is endpoint, but endpoint.url is empty; set it, or set {section}.writer=fields"
        )
    return f"{endpoint.url}#{endpoint.model}"


def at_most(contents: DataFrame, most: int) -> tuple[DataFrame, int]:
    """At most so many contents, the same ones each time, and how many there are; the contents are persisted.

    Args:
        contents: content_hash of each content.
        most: most contents.
    """
    contents = contents.persist()
    count = contents.count()
    if count > most:
        contents = with_row_number(contents, "number", "content_hash").where(F.col("number") < most)
    return contents.select("content_hash"), count


def with_own_partners(chosen: DataFrame, items: DataFrame, pairs: DataFrame, partners: int) -> DataFrame:
    """The fields of some contents and the titles of what they are bought with.

    A content's partners follow from the pairs of its own items, so that a later night looks at few pairs.

    Args:
        chosen: content_hash of each content.
        items: table ``items``.
        pairs: table ``item_pairs``.
        partners: most partners of a content.
    """
    triggers = items.join(chosen, "content_hash", "left_semi").select(F.col("item_id").alias("trigger_item_id"))
    of_chosen = accepted(pairs).join(triggers, "trigger_item_id", "left_semi")
    contents = with_partners(distinct_contents(items), by_content(of_chosen, items), partners)
    return contents.join(chosen, "content_hash", "left_semi")


def endpoint_limits(run: Run, tasks: int, max_tokens: int, *, has_work: bool) -> EndpointParameters:
    """Parameters of the requests of one of several tasks; the endpoint is tried if there is work.

    Args:
        run: the run.
        tasks: number of tasks.
        max_tokens: most tokens of a reply.
        has_work: whether there is a content to write about.

    Raises:
        UserError: the endpoint refuses the request or cannot be reached.
    """
    limits = endpoint_parameters(run.settings.endpoint, tasks, max_tokens, run.settings.language_model.max_tokens)
    if has_work:
        check_endpoint(limits)
    return limits
