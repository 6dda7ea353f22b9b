"""compose.yaml: valid by the Compose specification, whole, and in step with the embedded stack."""

import importlib
import importlib.resources
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from headrace_events import topics
from headrace_kit.settings import ServiceSettings
from headrace_stack.gateway.configuration import PRODUCTION, render
from headrace_stack.services import BY_NAME

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
ENGINES = {
    "kafka",
    "topics",
    "postgres",
    "qdrant",
    "mlflow",
    "ray-head",
    "otel-collector",
    "jaeger",
    "prometheus",
    "alertmanager",
    "grafana",
    "gateway",
}
NAMES = topics.BY_NAME[topics.WORKLOADS].consumers
SECRETS = (
    "POSTGRES_PASSWORD",
    "HEADRACE_DATABASE_PASSWORD",
    "GRAFANA_PASSWORD",
    "RAY_AUTH_TOKEN",
    "HEADRACE_ALERT_PAGE_URL",
    "HEADRACE_ALERT_NOTICE_URL",
)


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def _schema() -> dict[str, Any]:
    # The Compose specification's own schema (Apache-2.0), as check-jsonschema ships it.
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema: dict[str, Any] = json.loads((vendored / "compose-spec.json").read_text())
    return schema


def test_it_is_valid_by_the_compose_specification() -> None:
    validator = jsonschema.validators.validator_for(_schema())(_schema())
    errors = [
        f"{'/'.join(map(str, e.path))}: {e.message}" for e in validator.iter_errors(_document())
    ]
    assert errors == []


@pytest.mark.parametrize(
    "change",
    [
        {"services": {"x": {"imagee": "y"}}},
        {"services": {"x": {"depends_on": {"y": {"condition": "up"}}}}},
    ],
)
def test_the_schema_would_find_a_mistake(change: dict[str, Any]) -> None:
    validator = jsonschema.validators.validator_for(_schema())(_schema())
    assert list(validator.iter_errors(_document() | change))


def test_every_part_is_there() -> None:
    assert set(_document()["services"]) == ENGINES | set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_service_has_its_settings(name: str) -> None:
    part = _document()["services"][name]
    environment = part["environment"]
    package = f"headrace_{name.replace('-', '_')}"
    settings_class: type[ServiceSettings] = importlib.import_module(f"{package}.settings").Settings
    _assert_settings_exist(settings_class, environment)
    assert environment["HEADRACE_KAFKA__BOOTSTRAP_SERVERS"] == "kafka:9092"
    database = environment["HEADRACE_DATABASE__URL"]
    assert database.startswith(f"postgresql+asyncpg://{package}:")
    assert database.endswith(f"@postgres/{package}")
    assert environment["HEADRACE_TELEMETRY__OTLP_ENDPOINT"] == "http://otel-collector:4318"
    assert part["depends_on"]["topics"] == {"condition": "service_completed_successfully"}
    assert part["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert part["healthcheck"]["test"][-1].endswith("headrace-healthcheck.py")
    assert part["mem_limit"]
    assert part["build"]["args"]["PACKAGE"] == name
    needs_ray = "ray" in BY_NAME[name].needs
    assert (environment.get("HEADRACE_RAY_NODE") == "1") is needs_ray
    assert ("ray-head" in part["depends_on"]) is needs_ray


def _assert_settings_exist(settings: type[ServiceSettings], environment: dict[str, str]) -> None:
    """A misspelt variable would be ignored without a word: each must name a field."""
    for variable in environment:
        if not variable.startswith("HEADRACE_") or variable in {"HEADRACE_RAY_NODE"}:
            continue
        model: Any = settings
        for part in variable.removeprefix("HEADRACE_").lower().split("__"):
            fields = getattr(model, "model_fields", {})
            assert part in fields, f"{variable} is no setting of {settings.__module__}"
            model = fields[part].annotation


def test_images_are_pinned() -> None:
    for name, part in _document()["services"].items():
        image = part["image"]
        assert ":" in image, name
        if not image.startswith("headrace/"):
            assert not image.endswith(":latest"), name


def test_every_mounted_or_built_file_exists_and_every_volume_is_declared() -> None:
    document = _document()
    for name, part in document["services"].items():
        for volume in part.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name} mounts {source}"
            else:
                assert source in document["volumes"], f"{name} mounts {source}"
        if "build" in part:
            assert (ROOT / part["build"]["dockerfile"]).is_file(), name


def test_everything_waits_for_what_is_there_and_can_get_healthy() -> None:
    services = _document()["services"]
    built_in_healthcheck = {"headrace/mlflow"}
    for name, part in services.items():
        for other, how in part.get("depends_on", {}).items():
            assert other in services, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                image = services[other]["image"].split(":")[0]
                assert "healthcheck" in services[other] or image in built_in_healthcheck, other


def test_ports_are_published_on_the_loopback_only() -> None:
    for name, part in _document()["services"].items():
        for port in part.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_secrets_have_no_default_and_are_in_the_example() -> None:
    text = COMPOSE.read_text()
    example = (ROOT / "infra/docker/env.example").read_text()
    for secret in SECRETS:
        assert f"${{{secret}:?" in text, secret
        assert f"\n{secret}=\n" in f"\n{example}", secret
    assert set(re.findall(r"\$\{(\w+)", text)) == {*SECRETS, "HEADRACE_TAG", "HEADRACE_RAY_CPUS"}


@pytest.mark.skipif(
    not shutil.which("docker")
    or subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode,
    reason="the docker command has no compose plugin",
)
def test_docker_compose_accepts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in SECRETS:
        monkeypatch.setenv(secret, "x" * 32)
    command = ["docker", "compose", "--file", str(COMPOSE), "config", "--quiet"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# -- the files that compose mounts ----------------------------------------------------------


def test_the_gateways_configuration_is_the_one_of_the_embedded_stack() -> None:
    """One template, and one conformance suite in libs/stack; this file is what comes of it."""
    written = (ROOT / "infra/docker/gateway/nginx.conf").read_text()
    again = "python -P -m headrace_stack.gateway infra/docker/gateway/nginx.conf"
    assert written == render(PRODUCTION), f"write it again: {again}"


def test_every_service_has_a_database_in_the_init_script() -> None:
    text = (ROOT / "infra/postgres/init.sh").read_text()
    listed = re.search(r"for name in ([a-z_ ]+); do", text)
    assert listed
    assert set(listed[1].split()) == {name.replace("-", "_") for name in NAMES} | {"mlflow"}


def test_the_collectors_pipelines_use_what_is_declared() -> None:
    config = yaml.safe_load((ROOT / "infra/otel/collector.yaml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
    for kind in ("receivers", "processors", "exporters"):
        used = {n for p in config["service"]["pipelines"].values() for n in p[kind]}
        assert used == set(config[kind]), f"unused {kind}"
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    # What limits memory comes first, what makes batches last.
    processors = config["service"]["pipelines"]["traces"]["processors"]
    assert processors[0] == "memory_limiter"
    assert processors[-1] == "batch"


def test_image_versions_follow_the_lock() -> None:
    lock = (ROOT / "uv.lock").read_text()
    mlflow = re.search(r'name = "mlflow"\nversion = "([^"]+)"', lock)
    assert mlflow
    dockerfile = (ROOT / "infra/docker/mlflow.Dockerfile").read_text()
    assert f"mlflow=={mlflow[1]}" in dockerfile
    kafka = re.search(r"<kafka.version>([^<]+)<", (ROOT / "infra/kafka/pom.xml").read_text())
    assert kafka
    assert _document()["services"]["kafka"]["image"] == f"apache/kafka:{kafka[1]}"
    python = (ROOT / ".python-version").read_text().strip()
    for line in (ROOT / "infra/docker/Dockerfile").read_text().splitlines():
        if line.startswith("FROM python:"):
            assert line.startswith(f"FROM python:{python}-")


@pytest.mark.parametrize("script", ["infra/docker/entrypoint.sh", "infra/postgres/init.sh"])
def test_shell_scripts_parse_and_are_executable(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
    assert (ROOT / script).stat().st_mode & 0o111


def test_the_healthcheck_follows_readiness(tmp_path: Path) -> None:
    """The image's health check against a real server that is ready, not ready, and gone."""
    import http.server
    import threading

    status = 200

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]

    def check() -> int:
        command = [sys.executable, str(ROOT / "infra/docker/healthcheck.py")]
        environment = {"HEADRACE_HTTP__PORT": str(port)}
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert check() == 0
    status = 503
    assert check() == 1
    server.shutdown()
    server.server_close()
    assert check() == 1
