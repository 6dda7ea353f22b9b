"""The peer: MLflow's AI Gateway with tracing on, in front of a backend that answers at once."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp

from headrace_bench.event_path.load import Ask
from headrace_bench.event_path.processes import python_module
from headrace_kit.database import sqlite_url
from headrace_stack.mlflow_server import ENVIRONMENT
from headrace_stack.ports import free_port

_ENDPOINT = "bench"
_EXPERIMENT = f"gateway/{_ENDPOINT}"


@contextmanager
def mlflow_gateway(home: Path) -> Iterator[str]:
    """Run backend and gateway; yield the gateway's base URL."""
    home.mkdir(parents=True, exist_ok=True)
    taken: set[int] = set()
    backend, server = free_port(taken), free_port(taken)
    environment = {
        **ENVIRONMENT,
        # The fake backend is on the loopback, which the gateway otherwise refuses to call.
        "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": "only for this bench",
    }
    with (
        python_module(
            "headrace_bench.event_path.fake_openai", "--port", str(backend),
            ready=f"http://127.0.0.1:{backend}/health", log=home / "logs" / "backend.log",
        ),
        python_module(
            "mlflow", "server", "--port", str(server), "--workers", str(os.cpu_count() or 1),
            "--backend-store-uri", sqlite_url(home / "mlflow.db", "sqlite"),
            "--default-artifact-root", (home / "artefacts").as_uri(),
            ready=f"http://127.0.0.1:{server}/health", log=home / "logs" / "mlflow.log",
            environment=environment,
        ),
    ):  # fmt: skip
        url = f"http://127.0.0.1:{server}"
        _make_endpoint(url, f"http://127.0.0.1:{backend}/v1")
        yield url


def _make_endpoint(url: str, backend: str) -> None:
    """One endpoint with one model; usage tracking is MLflow's name for tracing every call."""
    from mlflow.entities import GatewayEndpointModelConfig, GatewayModelLinkageType
    from mlflow.store.tracking.rest_store import RestStore
    from mlflow.utils.rest_utils import MlflowHostCreds

    # MLflow's stores carry no types.
    make_store, credentials = cast(Any, RestStore), cast(Any, MlflowHostCreds)
    store = make_store(lambda: credentials(url))
    secret = store.create_gateway_secret(
        "bench", {"api_key": "none"}, provider="openai", auth_config={"api_base": backend}
    )
    model = store.create_gateway_model_definition("bench", secret.secret_id, "openai", "echo")
    config = GatewayEndpointModelConfig(
        model_definition_id=model.model_definition_id,
        linkage_type=GatewayModelLinkageType.PRIMARY,
    )
    store.create_gateway_endpoint(_ENDPOINT, [config], usage_tracking=True)


@asynccontextmanager
async def asking(url: str, text: str, under_way: int) -> AsyncIterator[Ask]:
    """Ask the gateway as an OpenAI client does."""
    body = {"model": _ENDPOINT, "messages": [{"role": "user", "content": text}]}
    connector = aiohttp.TCPConnector(limit=under_way)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(_number: int) -> None:
            async with session.post(
                f"{url}/gateway/mlflow/v1/chat/completions", json=body
            ) as response:
                answer = await response.json()
                if response.status != 200 or answer["choices"][0]["message"]["content"] != text:
                    raise RuntimeError(f"the gateway answered {response.status}")

        yield ask


def traces(url: str) -> int:
    """How many traces the gateway has written: tracing must have been on."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name(_EXPERIMENT)
    if experiment is None:
        return 0
    found = client.search_traces(locations=[experiment.experiment_id], max_results=500)
    return len(found)
