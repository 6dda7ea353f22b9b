"""A backend in OpenAI's shape that answers at once, for gateways to stand in front of.

`python -m headrace_bench.event_path.fake_openai --port N`.
"""

import argparse
import time

from aiohttp import web


async def complete(request: web.Request) -> web.Response:
    """Say the last message again."""
    body = await request.json()
    text = body["messages"][-1]["content"]
    words = len(text.split())
    usage = {"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words}
    message = {"role": "assistant", "content": text}
    return web.json_response(
        {
            "id": "chatcmpl-0",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body.get("model", "echo"),
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
    )


async def ready(_request: web.Request) -> web.Response:
    """Answer."""
    return web.Response()


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/health", ready)])
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, print=None)


if __name__ == "__main__":
    main()
