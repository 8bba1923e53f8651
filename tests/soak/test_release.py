"""What is published: the site, whose links all lead somewhere, and the files of a release."""

from __future__ import annotations

import json

import pytest
from deploy import release, site

from tests.e2e.installation import build


@pytest.fixture
def folder(tmp_path):
    """What the site is built from."""
    site.copy_sources(tmp_path)
    return tmp_path


def test_every_link_of_the_site_leads_somewhere(folder):
    assert site.build(folder) == 0
    assert site.find_lost_links(folder / "site") == []
    page = (folder / "site" / "docs" / "operations" / "index.html").read_text()
    assert 'id="traces"' in page
    assert "fonts.googleapis" not in page, "nothing is fetched from elsewhere"


@pytest.mark.parametrize("link", ["nowhere.md", "docs/operations.md#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(folder, link):
    with (folder / "site-source" / "README.md").open("a") as page:
        page.write(f"\n[here]({link})\n")
    assert site.build(folder)


def test_a_link_that_is_defined_at_the_end_of_a_page_is_checked_too(folder):
    with (folder / "site-source" / "README.md").open("a") as page:
        page.write("\n[here] and [there]\n\n[here]: nowhere.py\n[there]: docs/openapi.json\n")
    site.build(folder)
    assert [link.split()[-1] for link in site.find_lost_links(folder / "site")] == ["nowhere.py"]


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
