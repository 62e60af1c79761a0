"""The dashboard and the alerts against a real Prometheus that scrapes a real service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.prometheus import Prometheus, promtool
from support.stack import BackEnd, Phones, service, simulator
from support.waiting import eventually

from heliogram.observe.families import FAMILIES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "heliogram.json").read_text())
UNTIL_THERE = (
    "apns_goaways",
    "apns_connection_failures",
    "apns_connections_closed",
    "heliogram_store_pool_connections",
)
"""What has no series before it happened, or on the embedded store."""


def expressions() -> Iterator[tuple[str, str]]:
    """Title and PromQL of everything the dashboard shows."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def plain(expression: str) -> str:
    """As Grafana would ask, for all jobs and apps."""
    return expression.replace("$__rate_interval", "30s").replace("$job", ".*").replace("$app", ".*")


def names_in(expression: str) -> set[str]:
    """The service's metrics in an expression, by the names of the table."""
    found = set(re.findall(r"\b(?:heliogram|apns)_[a-z_]+", expression))
    return {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in found}


class Watched:
    """A service that sends to the simulator, and a Prometheus that scrapes it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Watched:
        with ExitStack() as stack:
            directory = self._directory
            apns = stack.enter_context(simulator(directory))
            serve = stack.enter_context(service(directory, apns.ready, "--metrics", "127.0.0.1:0", "--senders", "1"))
            self.address = self._metrics_address()
            self.prometheus = stack.enter_context(Prometheus(self._config(), directory))
            self._send(Phones(apns), BackEnd(serve.ready["url"], directory / "data"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _metrics_address(self) -> str:
        for line in (self._directory / "service.log").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "metrics.listening":
                return str(event["url"]).removeprefix("http://").removesuffix("/metrics")
        raise AssertionError("the log does not say where /metrics is")

    def _config(self) -> Path:
        """The file that is deployed, but for the address and the interval."""
        config: Any = yaml.safe_load(CONFIG.read_text())
        config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
        config["rule_files"] = [str(ALERTS)]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [self.address]}]
        path = self._directory / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        return path

    def _send(self, phones: Phones, backend: BackEnd) -> None:
        """Small and large sends, once before the first scrape that counts and once after, so that there are rates."""
        eventually(lambda: self.prometheus.query('up{job="heliogram"} == 1') or None, what="a scrape")
        backend.credential(phones.key())
        token = phones.phone().launch()
        good, bad = {"token": token, "provider": "APN"}, {"token": "ab" * 32, "provider": "APN"}
        seen, sender = 0, dict[str, Any]({"from": {"appName": "app"}})
        for _ in range(2):
            for to in ([good], [good] * 150 + [bad]):
                backend.completed(backend.send(*to, **sender))
                seen += len(to)
            what = f"sum(heliogram_notifications_total) == {seen}"
            eventually(lambda what=what: self.prometheus.query(what) or None, what=what)  # type: ignore[misc]
        phones.close()
        backend.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Watched(tmp_path_factory.mktemp("watched")) as made:
        yield made


def test_rules_and_configuration_are_sound() -> None:
    """promtool says so."""
    promtool("check", "rules", ALERTS)
    promtool("check", "config", CONFIG)


def test_each_alert_fires_when_it_should_and_none_while_all_is_well() -> None:
    """promtool test rules, with a case for every alert."""
    cases = ROOT / "tests/observe/alerts_test.yml"
    alerts = {rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
    assert set(re.findall(r'alertname="(\w+)"', cases.read_text())) == alerts
    promtool("test", "rules", cases)


def test_dashboard_and_alerts_speak_of_metrics_that_there_are() -> None:
    """And every metric of the service but its build info is in one of them."""
    used = {name for _, expression in expressions() for name in names_in(expression)}
    used |= names_in(ALERTS.read_text())
    used -= {name for name in used if name not in FAMILIES and name + "_x" in FAMILIES}
    assert used <= set(FAMILIES)
    assert set(FAMILIES) - used <= {
        "apns_connection_open_seconds",
        "apns_provider_token_changes",
        "heliogram_webhook_post_seconds",
    }


def test_every_panel_shows_something(watched: Watched) -> None:
    """Every expression of the dashboard gives data of a service that has sent, or is of what has not happened."""
    asked = [(title, plain(expression)) for title, expression in expressions()]
    assert len(asked) > 40
    empty = [
        f"{title}: {expression}"
        for title, expression in asked
        if not watched.prometheus.query(expression) and not any(name in expression for name in UNTIL_THERE)
    ]
    assert empty == []


def test_the_alerts_are_loaded_and_none_fires(watched: Watched) -> None:
    """A service that works is no reason to be woken."""
    rules = watched.prometheus.ask("rules")["groups"][0]["rules"]
    assert len(rules) == len(yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"])
    assert {rule["name"] for rule in rules if rule["state"] == "firing"} == set()
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}


def test_what_is_scraped_are_the_metrics_of_the_table(watched: Watched) -> None:
    """Nothing that is not documented; and the counts are those of what was sent."""
    metadata = watched.prometheus.ask("metadata")
    ours = {re.sub(r"_total$", "", name) for name in metadata if name.startswith(("heliogram_", "apns_"))}
    assert ours <= set(FAMILIES)
    assert set(FAMILIES) - ours <= {"heliogram_store_wal_bytes"} | set(UNTIL_THERE)
    accepted = watched.prometheus.query('sum(heliogram_pushes_total{outcome="accepted"})')
    assert float(accepted[0]["value"][1]) == 302
    refused = watched.prometheus.query('heliogram_pushes_total{outcome="rejected",reason="BadDeviceToken"}')
    assert float(refused[0]["value"][1]) == 1  # the second time nothing leaves
