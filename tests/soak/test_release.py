"""What is published: the site, whose links all lead somewhere, and the files of a release."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deploy import release
from testbed.processes import ROOT

from tests.e2e.installation import build

BESIDE = Path(sys.executable).parent


@pytest.fixture
def site(tmp_path):
    """What `make site` builds from, in a folder of its own."""
    source = tmp_path / "site-source"
    source.mkdir()
    for page in ROOT.glob("*.md"):
        shutil.copy(page, source)
    for folder in ("docs", "examples"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("node_*"))
    shutil.copy(ROOT / "docs" / "site.yml", tmp_path)
    return tmp_path


def build_site(site):
    return subprocess.run(
        [BESIDE / "zensical", "build", "--strict", "--config-file", site / "site.yml"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_link_of_the_site_leads_somewhere(site):
    done = build_site(site)
    assert done.returncode == 0, done.stdout
    page = (site / "site" / "docs" / "operations" / "index.html").read_text()
    assert 'id="traces"' in page
    assert "fonts.googleapis" not in page, "nothing is fetched from elsewhere"


@pytest.mark.parametrize("link", ["nowhere.md", "docs/operations.md#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(site, link):
    with (site / "site-source" / "README.md").open("a") as page:
        page.write(f"\n[here]({link})\n")
    assert build_site(site).returncode


def test_the_distributions_and_the_sbom_of_a_release_are_good(tmp_path, monkeypatch):
    source, wheel = build(tmp_path)
    release.must("twine", "check", "--strict", str(source), str(wheel))
    monkeypatch.setattr(release, "DIST", tmp_path)
    release.write_sbom(tmp_path / "sbom.cdx.json")
    sbom = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "tokensvc")
    named = {component["name"]: component for component in sbom["components"]}
    assert {"aiohttp", "asyncpg", "cryptography", "pyjwt", "pydantic"} <= set(named)
    assert named["pyjwt"]["externalReferences"][0]["hashes"]
