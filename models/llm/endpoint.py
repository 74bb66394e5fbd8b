"""A client of an OpenAI-compatible endpoint: concurrent questions to its language model, within rate limits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from aiolimiter import AsyncLimiter
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, InternalServerError, RateLimitError
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_random_exponential

NO_KEY = "none"
"""API key that is sent if the environment holds none; self-hosted servers usually need no key."""

LONGEST_PAUSE = 60
REFUSALS_OF_ALL = (401, 403, 404)
"""Status codes of a wrong key, model or URL. Any other refusal concerns a single question."""


@dataclass(frozen=True, kw_only=True)
class EndpointParameters:
    """Address and limits of an endpoint.

    Attributes:
        url: base URL, as for the ``openai`` client.
        model: name of the model at the endpoint.
        key_variable: environment variable that holds the API key.
        concurrency: largest number of concurrent requests.
        requests_per_minute: largest number of requests, retries included, that start in a minute; 0 = no limit.
        timeout_seconds: timeout of one request.
        retries: number of retries after a temporary failure, with exponential backoff.
        max_tokens: largest number of tokens in a reply.
        item_characters: largest number of characters of an item's text; longer texts are truncated.
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
    """The reply to one question.

    Attributes:
        text: what the model wrote; None if the endpoint refused the question or every request failed.
        tokens_read: number of tokens in the question, as counted by the endpoint.
        tokens_written: number of tokens in the reply, as counted by the endpoint.
    """

    text: str | None
    tokens_read: int = 0
    tokens_written: int = 0


def ask(parameters: EndpointParameters, questions: Sequence[str]) -> list[Reply]:
    """Asks each question in a separate conversation.

    Args:
        parameters: address and limits of the endpoint.
        questions: any number of questions.

    Returns:
        Replies in the order of the questions.

    Raises:
        ValueError: the key, the model or the URL is wrong.
    """
    return asyncio.run(_ask_all(parameters, questions))


async def _ask_all(p: EndpointParameters, questions: Sequence[str]) -> list[Reply]:
    key = os.environ.get(p.key_variable) or NO_KEY
    turns = asyncio.Semaphore(p.concurrency)
    # Limited second by second: endpoints refuse a burst of a whole minute's requests.
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
            said = error.message.replace(client.api_key, "...") if client.api_key else error.message
            raise ValueError(
                f"endpoint.url: {p.url} refuses: {error.status_code} {said}; check endpoint.url,"
                f" endpoint.model and the key in the environment variable {p.key_variable}"
            ) from None
        return Reply(None)
    usage = done.usage
    return Reply(
        done.choices[0].message.content or "",
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
    )
