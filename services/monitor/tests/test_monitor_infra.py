"""Prometheus and Grafana configuration: valid, and about metrics that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import headrace_kit.metrics  # noqa: F401 - registers the chassis' metrics
from headrace_events import topics
from headrace_monitor.adapters.exposition import MonitorGauges

INFRA = Path(__file__).parents[3] / "infra"
PROMETHEUS = INFRA / "prometheus"
ENVIRONMENT = Path(sys.prefix)
PROMTOOL = shutil.which("promtool", path=f"{ENVIRONMENT / 'bin'}:{os.environ.get('PATH', '')}")
RULES = PROMETHEUS / "rules" / "headrace.yml"
DASHBOARDS = sorted((INFRA / "grafana" / "dashboards").glob("*.json"))
SERVICES = set(topics._ALL_SERVICES)


def exported() -> set[str]:
    """Return the sample names that kit and monitor can export."""
    found = set()
    for family in [*REGISTRY.collect(), *MonitorGauges().collect()]:
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        found |= {family.name + end for end in suffixes.get(family.type, [""])}
    return found


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bheadrace_\w+", expression))


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_service_is_scraped() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = [j for j in config["scrape_configs"] if j["job_name"] == "headrace"]
    targets = [t for s in job["static_configs"] for t in s["targets"]]
    assert {t.split(":")[0] for t in targets} == SERVICES
    compose = yaml.safe_load((INFRA.parent / "compose.yaml").read_text())
    assert set(compose["services"]) >= SERVICES | {"prometheus", "alertmanager", "grafana"}


def test_alerts_say_what_to_do_and_speak_of_metrics_that_exist() -> None:
    known = exported()
    for rule in rules():
        assert rule["annotations"]["summary"] and rule["annotations"]["action"], rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert named(rule["expr"]) <= known, rule["alert"]


def test_every_alert_reaches_somebody() -> None:
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    receivers = {r["name"]: r for r in config["receivers"]}
    assert config["route"]["receiver"] == "notice"
    (page,) = config["route"]["routes"]
    assert (page["matchers"], page["receiver"]) == (["severity = critical"], "page")
    compose = yaml.safe_load((INFRA.parent / "compose.yaml").read_text())
    mounted = {
        c["target"]: compose["configs"][c["source"]]["content"]
        for c in compose["services"]["alertmanager"]["configs"]
    }
    for name in ("page", "notice"):
        (webhook,) = receivers[name]["webhook_configs"]
        # Empty or missing: Compose refuses to start.
        assert ":?" in mounted[webhook["url_file"]]


def test_no_rule_overwrites_a_label_that_tells_its_series_apart() -> None:
    # `sum by (workload, severity)` with a severity of its own failed as soon as both were open.
    for rule in rules():
        for kept in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
            assert not set(re.split(r",\s*", kept)) & set(rule["labels"]), rule["alert"]


def test_a_metric_that_does_not_exist_would_be_found() -> None:
    assert not named("rate(headrace_requets_total[5m])") <= exported()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
def test_dashboards_are_provisionable(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    (provider,) = yaml.safe_load(
        (INFRA / "grafana" / "provisioning" / "dashboards" / "headrace.yml").read_text()
    )["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    (source,) = yaml.safe_load(
        (INFRA / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )["datasources"]
    panels = dashboard["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    known = exported()
    for one in panels:
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in one.get("targets", []):
            assert target["datasource"]["uid"] == source["uid"]
            assert named(target["expr"]) <= known, one["title"]
    places = [p["gridPos"] for p in panels]
    for i, a in enumerate(places):
        for b in places[:i]:
            apart = (
                a["x"] >= b["x"] + b["w"]
                or b["x"] >= a["x"] + a["w"]
                or a["y"] >= b["y"] + b["h"]
                or b["y"] >= a["y"] + a["h"]
            )
            assert apart, (a, b)


def test_there_is_a_dashboard() -> None:
    assert [json.loads(p.read_text())["title"] for p in DASHBOARDS] == ["Headrace loop"]


@pytest.mark.skipif(
    PROMTOOL is None and (ENVIRONMENT / ".headrace-no-promtool").exists(),
    reason="`make setup-tests` found no promtool for this system",
)
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "rules/headrace.yml"),
        ("test", "rules", "tests/headrace_test.yml"),
    ],
    ids=lambda a: " ".join(a[:2]),
)
def test_promtool_accepts_them(arguments: tuple[str, ...]) -> None:
    assert PROMTOOL, "there is no promtool: `make setup-tests` installs it"
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
