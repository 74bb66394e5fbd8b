"""A server of the OpenAI-compatible protocol on this machine: real HTTP, replies and failures as the test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Chat:
    """What the server was asked, and how it is asked to behave.

    Attributes:
        url: base URL.
        reply: question to reply.
        failures: statuses of the first so many requests, before any succeeds.
        delay: seconds before a reply.
        requests: bodies, with the ``Authorization`` header and the time.
        at_once: most requests that were under way together.
    """

    url: str
    reply: Callable[[str], str]
    failures: list[int] = field(default_factory=list)
    delay: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0


@contextmanager
def chat_server(reply: Callable[[str], str], failures: tuple[int, ...] = (), delay: float = 0.0) -> Iterator[Chat]:
    """Serves ``/v1/chat/completions`` until the block ends."""
    lock, under_way = threading.Lock(), 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal under_way
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                under_way += 1
                chat.at_once = max(chat.at_once, under_way)
                chat.requests.append(body | {"key": self.headers["Authorization"], "at": time.monotonic()})
                status = chat.failures.pop(0) if chat.failures else 200
            time.sleep(chat.delay)
            question = body["messages"][-1]["content"]
            answer: dict[str, Any] = {"error": {"message": f"status {status} for {self.headers['Authorization']}"}}
            if status == 200:
                text = chat.reply(question)
                answer = {
                    "id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
                    "choices": [
                        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                    ],
                    "usage": {
                        "prompt_tokens": len(question.split()), "completion_tokens": len(text.split()),
                        "total_tokens": len(question.split()) + len(text.split()),
                    },
                }  # fmt: skip
            with lock:
                under_way -= 1
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chat = Chat(f"http://127.0.0.1:{server.server_address[1]}/v1", reply, list(failures), delay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
