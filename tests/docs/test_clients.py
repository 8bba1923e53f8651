"""docs/clients.md: its Python runs against an issuer, and it names every option and every error."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from tests.unit.client.loopback import KEY, Issuer, RelyingParty

import tokensvc.client
from tokensvc.client import ThreadedTokenSource, TokenSource

PAGE = (Path(__file__).parent.parent.parent / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FOR_TESTS = {"clock", "sleep", "chance"}


@pytest.fixture
def issuer():
    server = Issuer()
    yield server
    server.stop()


@pytest.fixture
def party():
    server = RelyingParty()
    yield server
    server.stop()


async def run(block: str, **names: Any) -> dict[str, Any]:
    code = compile(block, "clients.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    done = eval(code, names)
    if inspect.isawaitable(done):
        await done
    return names


async def test_the_sources_give_tokens(issuer, tmp_path, monkeypatch):
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("TOKENSVC_API_KEY", KEY)
    block = BLOCKS[0].replace("https://auth.example.com", issuer.url)
    names = await run(block.replace("/run/secrets/key", str(tmp_path / "key")))
    assert (names["narrow"], names["token"]) == ("token-2", "token-3")
    assert [request.form.get("scope") for request in issuer.received] == [None, "orders:read", None]


async def test_aiohttp_sends_a_token(issuer, party):
    (block,) = [block for block in BLOCKS if "import aiohttp" in block]
    block = block.replace("https://orders.example.com", party.url)
    async with TokenSource(issuer=issuer.url, api_key=KEY) as source:
        await run(block.replace("orders.example.com", party.host), source=source)
    assert party.bearers == ["token-1"]


@pytest.mark.parametrize("library", ["httpx", "requests"])
async def test_the_other_adapters_are_made_as_shown(library, issuer):
    (block,) = [block for block in BLOCKS if f"import {library}\n" in block]
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY) as source:
        await run(block, source=source)
    assert issuer.asked == 0


def test_the_tables_name_every_option():
    cells = " ".join(re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE))
    named = set(re.findall(r"`(\w+)`", cells))
    assert named >= set(inspect.signature(TokenSource).parameters) - FOR_TESTS
    assert named >= {"allowed_hosts", "audience", "scope", "elsewhere"}


def test_every_error_is_named_and_every_named_error_is_at_the_door():
    exported = {name for name in tokensvc.client.__all__ if name.endswith("Error")}
    assert set(re.findall(r"\b[A-Z]\w+Error\b", PAGE)) - {"TypeError"} == exported


def test_the_logger_that_is_named_is_the_one_that_is_used():
    assert f"(logger `{tokensvc.client._source._log.name}`)" in PAGE
