"""Writes docs/metrics.md from the metrics of the code and the alerts that ask for them.

python -m testbed.metrics_page docs/metrics.md
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml  # type: ignore[import-untyped]
from prometheus_client import Counter, Gauge, Histogram

from tokensvc.issuer import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULES: Final = Path(__file__).parent.parent / "deploy" / "monitoring" / "rules.yml"
_WIDTH: Final = 100
_HEAD: Final = """\
# Metrics

`make metrics-page` writes this page from the code. [Operations](operations.md#metrics) says how to
get the metrics, and [deployment](deployment.md#monitoring) how to watch them.

Those that tell of a process are there for each process of the service; with `--workers`, for all
workers of a machine together.
"""


class Metric(NamedTuple):
    """A metric under the name that Prometheus knows. `kind`: counter, gauge or histogram."""

    name: str
    kind: str
    labels: Sequence[str]
    meaning: str


def list_metrics() -> Iterator[Metric]:
    """Yield all metrics, in the order of the code."""
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.describe()
            name = f"{family.name}_total" if isinstance(metric, Counter) else family.name
            labels = metric._labelnames  # noqa: SLF001 - there is no door for them
            yield Metric(name, family.type, labels, family.documentation)


def list_alerts() -> list[dict[str, Any]]:
    """Return the rules that raise alerts."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def build_page() -> str:
    """Return the page."""
    alerts = list_alerts()
    lines = [_HEAD]
    for metric in list_metrics():
        named = re.compile(rf"\b{metric.name}(?:_bucket|_count|_sum)?\b")
        asking = [alert["alert"] for alert in alerts if named.search(alert["expr"])]
        raised = f" Alerts: `{'`, `'.join(asking)}`." if asking else ""
        labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
        lines.append(_item(f"`{metric.name}{labels}` ({metric.kind}): {metric.meaning}{raised}"))
    lines.append(
        "\n## Alerts\n\nThe rules of `deploy/monitoring/rules.yml`. `page` wakes somebody up, and "
        "`ticket` waits for\nthe morning.\n"
    )
    for alert in alerts:
        summary = re.sub(
            r"\{\{ \$(?:labels\.)?(\w+) \}\}", r"*\1*", alert["annotations"]["summary"]
        )
        help_at, severity = alert["annotations"]["runbook"], alert["labels"]["severity"]
        lines.append(_item(f"`{alert['alert']}` ({severity}): {summary}. [What to do]({help_at})."))
    return "\n".join(lines) + "\n"


def _item(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(build_page())
