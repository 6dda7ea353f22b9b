"""A sink for spans: counts what comes by OTLP over HTTP and forgets it.

`python -m headrace_bench.event_path.span_sink --port N`; `GET /count` says how many.
"""

import argparse
import gzip

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_MOST_BYTES = 64 * 1024 * 1024


class Sink:
    """Counts."""

    def __init__(self) -> None:
        self.spans = 0

    async def take(self, request: web.Request) -> web.Response:
        """Count the spans of one export."""
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        export = ExportTraceServiceRequest.FromString(body)
        self.spans += sum(
            len(scope.spans) for resource in export.resource_spans for scope in resource.scope_spans
        )
        return web.Response(content_type="application/x-protobuf")

    async def count(self, _request: web.Request) -> web.Response:
        """Say how many there were."""
        return web.json_response({"spans": self.spans})


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    sink = Sink()
    app = web.Application(client_max_size=_MOST_BYTES)
    app.add_routes([web.post("/v1/traces", sink.take), web.get("/count", sink.count)])
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, print=None)


if __name__ == "__main__":
    main()
