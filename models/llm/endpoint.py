"""A language model behind an OpenAI-compatible endpoint: many questions at once, within limits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from aiolimiter import AsyncLimiter
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, InternalServerError, RateLimitError
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_random_exponential

NO_KEY = "none"
"""Sent where the environment holds no key: servers of one's own ask for none."""

LONGEST_PAUSE = 60
REFUSALS_OF_ALL = (401, 403, 404)
"""Statuses that say that the key, the model or the address is wrong; any other refusal is of one question."""


@dataclass(frozen=True, kw_only=True)
class EndpointParameters:
    """How an endpoint is asked.

    Attributes:
        url: base URL, as the ``openai`` client takes it.
        model: the model's name there.
        key_variable: environment variable that holds the key.
        concurrency: requests under way at once.
        requests_per_minute: at most so many begin in a minute, further tries among them; 0 = no limit.
        timeout_seconds: of one try.
        retries: further tries after a failure that may pass, with growing pauses.
        max_tokens: of a reply.
        item_characters: a longer item's text is cut there.
    """

    url: str
    model: str
    key_variable: str
    concurrency: int
    requests_per_minute: int
    timeout_seconds: float
    retries: int
    max_tokens: int
    item_characters: int


@dataclass(frozen=True)
class Reply:
    """One reply.

    Attributes:
        text: what the model wrote; None where the endpoint refused this question or every try failed.
        tokens_read: of the question, as the endpoint counts.
        tokens_written: of the reply.
    """

    text: str | None
    tokens_read: int = 0
    tokens_written: int = 0


def ask(parameters: EndpointParameters, questions: Sequence[str]) -> list[Reply]:
    """Asks every question in a conversation of its own.

    Args:
        parameters: how.
        questions: any number of them.

    Returns:
        Replies in the questions' order.

    Raises:
        ValueError: the endpoint refuses all that it may be asked: the key, the model or the address is wrong.
    """
    return asyncio.run(_ask_all(parameters, questions))


async def _ask_all(p: EndpointParameters, questions: Sequence[str]) -> list[Reply]:
    key = os.environ.get(p.key_variable) or NO_KEY
    turns = asyncio.Semaphore(p.concurrency)
    # A second's worth at a time: a burst of a minute's would be refused.
    rate = p.requests_per_minute / 60
    limit = AsyncLimiter(max(rate, 1), max(1 / rate, 1)) if rate else None
    async with AsyncOpenAI(base_url=p.url, api_key=key, timeout=p.timeout_seconds, max_retries=0) as client:

        async def one(question: str) -> Reply:
            async with turns:
                return await _reply(client, p, limit, question)

        return list(await asyncio.gather(*(one(question) for question in questions)))


async def _reply(client: AsyncOpenAI, p: EndpointParameters, limit: AsyncLimiter | None, question: str) -> Reply:
    tries = AsyncRetrying(
        retry=retry_if_exception_type((RateLimitError, InternalServerError, APIConnectionError)),
        stop=stop_after_attempt(p.retries + 1),
        wait=wait_random_exponential(0.5, LONGEST_PAUSE),
    )
    try:
        async for attempt in tries:
            with attempt:
                if limit is not None:
                    await limit.acquire()
                done = await client.chat.completions.create(
                    model=p.model,
                    messages=[{"role": "user", "content": question}],
                    temperature=0,
                    max_tokens=p.max_tokens,
                )
    except RetryError:
        return Reply(None)
    except APIStatusError as error:
        if error.status_code in REFUSALS_OF_ALL:
            raise ValueError(f"endpoint.url: {p.url} refuses: {error.status_code} {error.message}") from None
        return Reply(None)
    usage = done.usage
    return Reply(
        done.choices[0].message.content or "",
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
    )
