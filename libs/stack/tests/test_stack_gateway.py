"""The gateway's configuration: who owns which path, and what cannot be started is said clearly."""

import contextlib
import json
from pathlib import Path

import aiohttp
import pytest

from headrace_stack.errors import StackError
from headrace_stack.gateway import nginx
from headrace_stack.gateway.configuration import PRODUCTION, render
from headrace_stack.gateway.testing import Asked, RawService, running, serving
from headrace_stack.ports import HOST, free_port
from headrace_stack.services import SERVICES, owner_of


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1/files", "ingest"),
        ("/v1/files/abc/content", "ingest"),
        ("/v1/feedback", "ingest"),
        ("/sources", "ingest"),
        ("/datasets/python-docs/1", "data-quality"),
        ("/v1/fine_tuning/jobs", "trainer"),
        ("/models/python-docs", "registry"),
        ("/lineage/python-docs/1", "registry"),
        ("/evaluations", "evaluator"),
        ("/v1/chat/completions", "serving"),
        ("/v1/completions", "serving"),
        ("/v1/models", "serving"),
        ("/rollouts", "serving"),
        ("/v1/moderations", "guardrails"),
        ("/policies", "guardrails"),
        ("/", "monitor"),
        ("/alerts", "monitor"),
        ("/modelsandmore", "monitor"),
        ("/v1/filesystem", "monitor"),
    ],
)
def test_routes(path: str, owner: str) -> None:
    assert owner_of(path) == owner


def test_every_service_has_a_route_of_its_own() -> None:
    routes = [route for service in SERVICES for route in service.routes]
    assert len(routes) == len(set(routes))
    assert all(service.routes for service in SERVICES)


async def test_nginx_routes_as_the_table_says(tmp_path: Path) -> None:
    """The real one, before eight services that tell their names."""

    def named(name: str) -> RawService:
        async def tell(asked: Asked) -> None:
            await asked.answer(name.encode())

        return RawService(tell)

    ports = {service.name: free_port() for service in SERVICES}
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        for name, number in ports.items():
            await stack.enter_async_context(serving(named(name), number))
        layout = nginx.embedded(port, ports)
        await stack.enter_async_context(running(layout, tmp_path / "a home ű %1 #2", port))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for route in (route for service in SERVICES for route in service.routes):
            for path in (route, f"{route.rstrip('/')}/x", f"{route}-other", f"/before{route}"):
                async with session.get(f"http://{HOST}:{port}{path}") as answer:
                    assert await answer.text() == owner_of(path), path


def test_a_missing_or_broken_nginx_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(nginx.PROGRAM_VARIABLE, str(tmp_path / "nginx"))
    with pytest.raises(StackError, match="make setup"):
        nginx.program()
    for said, problem in (("nginx version: nginx/1.18.0", "1.20 or newer"), ("broken", "not run")):
        (tmp_path / "nginx").write_text(f"#!/bin/sh\necho '{said}' >&2\n")
        (tmp_path / "nginx").chmod(0o755)
        with pytest.raises(StackError, match=problem):
            nginx.program()


def test_a_host_that_is_no_name_does_not_get_into_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(nginx.HOSTS_VARIABLE, 'good.example,"0;}')
    with pytest.raises(StackError, match=nginx.HOSTS_VARIABLE):
        nginx.prepare(tmp_path, nginx.embedded(1, {}))


def test_every_answer_of_the_gateway_is_json_in_openais_shape() -> None:
    for line in render(PRODUCTION).splitlines():
        if "return" in line and "'" in line and "alive" not in line:
            error = json.loads(line.split("'")[1])["error"]
            assert {"message", "type", "param", "code"} <= set(error)
