"""The Python of docs/relying-parties.md compiles, and all that the page names exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.integration.things import make_key
from tests.web.asking import get_token

from tokensvc.verify import Verifier
from tokensvc.verify.testing import FakeIssuer

PAGE = (Path(__file__).parent.parent.parent / "docs" / "relying-parties.md").read_text()
BLOCKS = [
    ast.parse(block)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
OPTIONS = set(inspect.signature(Verifier.__init__).parameters) - {
    "self",
    "fetcher",
    "clock",
    "issuer",
    "audience",
}


def nodes(kind):
    return [node for block in BLOCKS for node in ast.walk(block) if isinstance(node, kind)]


def test_there_are_examples():
    assert len(BLOCKS) >= 8


@pytest.mark.parametrize(
    "node", [node for node in nodes(ast.ImportFrom) if node.module != "flask"], ids=ast.unparse
)
def test_what_an_example_imports_is_there(node):
    module = importlib.import_module(node.module)
    assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_an_example_names_options_that_exist():
    made = [
        node
        for node in nodes(ast.Call)
        if ast.unparse(node.func) in {"Verifier", "ThreadedVerifier"}
    ]
    named = {keyword.arg for node in made for keyword in node.keywords}
    assert named <= OPTIONS | {"issuer", "audience"}


def test_every_option_stands_in_the_table():
    first_cells = re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) >= OPTIONS


def test_every_method_of_the_testing_kit_that_is_named_is_there():
    paragraph = PAGE[PAGE.index("`FakeIssuer(") : PAGE.index("## Any other JWT library")]
    named = re.findall(r"`(?:issuer\.)?(\w+)(?:\(|`)", paragraph)
    assert {"token", "rotate", "revoke", "go_stale", "verifier"} <= set(named)
    assert [name for name in named if name != "FakeIssuer" and not hasattr(FakeIssuer, name)] == []


async def test_the_service_that_asks_lets_only_live_tokens_for_its_audience_pass(
    client, settings, database
):
    key = await make_key(database, capabilities=["orders:read"])
    token = (await get_token(client, key))["access_token"]
    asker = await make_key(database, capabilities=["tokensvc:introspect"])
    served = run_the_service_that_asks(f"{settings.issuer_url}/v1/introspect", asker.key.text)
    good = {"Authorization": f"Bearer {token}"}
    async with TestClient(TestServer(served["app"])) as gateway:

        async def status_of(headers: dict[str, str]) -> int:
            return (await gateway.get("/verify", headers=headers)).status

        passed = await gateway.get("/verify", headers=good)
        assert passed.status == 204
        assert passed.headers["X-Account"] == key.listed.record.account_id
        assert passed.headers["X-Scope"] == "orders:read"
        assert await status_of({}) == 401
        assert await status_of({"Authorization": "Bearer junk"}) == 401
        served["AUDIENCE"] = "other"
        assert await status_of(good) == 401
        served["AUDIENCE"] = "api"
        await client.post("/v1/revoke", data={"token": token})
        assert await status_of(good) == 401
        await client.post("/v1/revoke", data={"token": asker.key.text})
        assert await status_of(good) == 503


def run_the_service_that_asks(url: str, key: str) -> dict[str, Any]:
    """Run that example but for its last line; return its variables, which can still be changed."""
    (source,) = [ast.unparse(block) for block in BLOCKS if "/v1/introspect" in ast.unparse(block)]
    served: dict[str, Any] = {"__name__": "gateway"}
    exec(source.replace("web.run_app(", "dict(app="), served)
    served |= {"URL": url, "KEY": key, "AUDIENCE": "api"}
    return served
