"""Alerts, board and page ask for metrics that exist, and lead to pages that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client import REGISTRY
from testbed.metrics_page import build_page, list_alerts
from tests.docs.test_links import find_anchors

import tokensvc.issuer.metrics

ROOT = Path(__file__).parent.parent.parent
MONITORING = ROOT / "deploy" / "monitoring"
RULES = (MONITORING / "rules.yml").read_text()
BOARD = json.loads((MONITORING / "board.json").read_text())
NAME = re.compile(r"\btokensvc_[a-z_]+")
_ENDINGS = ("", "_total", "_bucket", "_count", "_sum")


def find_metrics() -> set[str]:
    """The names under which Prometheus knows what the code counts."""
    assert tokensvc.issuer.metrics.EXCHANGES is not None
    families = [metric.name for metric in REGISTRY.collect() if metric.name.startswith("tokensvc")]
    return {family + ending for family in families for ending in _ENDINGS}


def list_expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_alerts_and_the_board_ask_for_metrics_that_exist():
    asked = set(NAME.findall(RULES)) | set(NAME.findall(" ".join(list_expressions())))
    assert len(asked) > 15
    assert asked - find_metrics() == set()


def test_every_metric_is_on_the_board():
    shown = " ".join(list_expressions())
    families = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("tokensvc")}
    assert {family for family in families if family not in shown} == set()


def test_every_alert_leads_to_a_page_and_has_a_case_that_raises_it():
    alerts = list_alerts()
    assert len(alerts) > 20
    for alert in alerts:
        name, _, heading = alert["annotations"]["runbook"].partition("#")
        page = ROOT / "docs" / name
        assert page.parent.name == "runbooks"
        assert page.is_file(), name
        assert not heading or heading in find_anchors(page), heading
    cases = (MONITORING / "rules_test.yml").read_text()
    raised = [alert["alert"] for alert in alerts]
    assert [alert for alert in raised if f"alertname: {alert}\n" not in cases] == []


def test_the_page_of_the_metrics_is_what_the_code_and_the_rules_say():
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert page == build_page(), "run: make metrics-page"
