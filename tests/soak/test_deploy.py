"""The files of `deploy/` are read by the programs that they are for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from testbed.processes import ROOT

DEPLOY = ROOT / "deploy"
BESIDE = Path(sys.executable).parent
VALUES = (
    "image.repository=registry.example.com/tokensvc",
    "issuer=https://tokens.example.com",
    "database.existingSecret=tokensvc-database",
    "masterKey.existingSecret=tokensvc-master-key",
)
EVERYTHING = (
    *VALUES,
    "database.migrationUrlKey=migration-url",
    "metrics.serviceMonitor.enabled=true",
    "settings.TOKENSVC_TOKEN_TTL=300",
    "workers=2",
    "image.digest=sha256:" + 64 * "0",
    "networkPolicy.operators[0].podSelector.matchLabels.role=operator",
)
# What the two above leave at its default.
OTHERS = (
    *VALUES,
    "imagePullSecrets[0].name=registry",
    "trustedProxyHops=2",
    "drainSeconds=25",
    "service.type=LoadBalancer",
    "networkPolicy.enabled=false",
    "podAnnotations.team=tokens",
    "nodeSelector.disk=ssd",
    "tolerations[0].key=dedicated",
    "tolerations[0].operator=Exists",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=zone",
)
KUBERNETES = ("1.29", "1.34")


def run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, input=text, capture_output=True, text=True, check=False, timeout=300
    )


def require(program: str) -> str:
    """Return the path of a program, which a variable may name: HELM=/opt/helm.

    Go puts what it has built into a folder that is seldom in the path.
    """
    places = os.pathsep.join([os.environ["PATH"], str(Path.home() / "go" / "bin")])
    found = os.environ.get(program.upper()) or shutil.which(program, path=places)
    if found is None:
        pytest.skip(f"NOTHING WAS READ BY {program.upper()}: it is not installed")
    return found


def render(*values: str, version: str = KUBERNETES[-1]) -> subprocess.CompletedProcess[str]:
    """Make what the chart makes. A helm that Go has built knows no version of Kubernetes itself."""
    # Numbers and truth values must not be strings.
    plain = re.compile(r"(?!settings\.).*=(true|false|\d{1,4})")
    given = ["--set" if plain.fullmatch(value) else "--set-string" for value in values]
    pairs = [argument for pair in zip(given, values, strict=True) for argument in pair]
    chart = ("trial", "deploy/helm/tokensvc", "--kube-version", version)
    return run(require("helm"), "template", *chart, *pairs)


def test_the_dockerfile_has_no_finding():
    done = run(str(BESIDE / "hadolint"), "deploy/docker/Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_compose_file_is_read_and_has_no_secret_of_the_checkout():
    done = run(require("docker-compose"), "--file", "deploy/docker/compose.yaml", "config")
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) >= {"tokensvc", "postgres", "haproxy", "prometheus", "grafana"}
    for name, service in services.items():
        for setting, value in service.get("environment", {}).items():
            assert "PASSWORD" not in setting or setting.endswith("_FILE"), (name, setting, value)


def test_the_unit_is_understood_by_systemd(tmp_path):
    unit = tmp_path / "tokensvc.service"
    text = (DEPLOY / "systemd" / "tokensvc.service").read_text()
    # The program of this test, because the unit names one that only an installation has.
    unit.write_text(text.replace("/opt/tokensvc/bin/tokensvc", str(BESIDE / "tokensvc")))
    done = run(require("systemd-analyze"), "verify", "--man=no", str(unit))
    assert done.returncode == 0, done.stderr
    assert "tokensvc.service" not in done.stderr


@pytest.mark.parametrize("values", [VALUES, EVERYTHING, OTHERS], ids=["least", "most", "others"])
@pytest.mark.parametrize("version", KUBERNETES)
def test_what_the_chart_makes_is_valid(tmp_path, values, version):
    done = render(*values, version=version)
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    kinds = {each["kind"] for each in made}
    assert kinds >= {"Deployment", "Job", "Service", "PodDisruptionBudget"}
    assert ("NetworkPolicy" in kinds) == (values is not OTHERS)
    # Kubernetes itself knows nothing of the kind that Prometheus's operator brings.
    known = [each for each in made if each["kind"] != "ServiceMonitor"]
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("---\n".join(json.dumps(each) + "\n" for each in known))
    checked = run(str(BESIDE / "kubernetes-validate"), "--strict", "-k", version, str(manifest))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_pods_of_the_chart_have_no_right_that_they_do_not_need():
    made = [each for each in yaml.safe_load_all(render(*EVERYTHING).stdout) if each]
    pods = [
        each["spec"]["template"]["spec"] for each in made if each["kind"] in {"Deployment", "Job"}
    ]
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    (service,) = [pod for pod in pods if "terminationGracePeriodSeconds" in pod]
    assert service["terminationGracePeriodSeconds"] > 10
    assert "migration" not in json.dumps(service), "the service does not see the owner's URL"


@pytest.mark.parametrize(
    "value",
    [
        "issuer=http://tokens.example.com",
        "image.digest=sha256:short",
        "settings.TOKENSVC_ISSUER=https://other.example.com",
        "databse.existingSecret=typo",
    ],
)
def test_the_chart_refuses_values_that_make_no_sense(value):
    done = render(*VALUES, value)
    assert done.returncode != 0
    assert value.split("=")[0].split(".")[0] in done.stderr


def test_alerts_are_read_by_prometheus_and_raised_by_what_they_are_for():
    promtool = require("promtool")
    checked = run(promtool, "check", "rules", "deploy/monitoring/rules.yml")
    assert checked.returncode == 0, checked.stderr
    tested = run(promtool, "test", "rules", "deploy/monitoring/rules_test.yml")
    assert tested.returncode == 0, tested.stdout
    config = run(promtool, "check", "config", "--syntax-only", "deploy/docker/prometheus.yml")
    assert config.returncode == 0, config.stderr
