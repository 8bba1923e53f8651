"""docs/http-api.md: its commands and its Python do what it says; docs/rights.md is the table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests
from aiohttp import web
from tests.docs.test_readme import Shell

from tokensvc.core import errors
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.problems import build_answer

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "http-api.md").read_text()
RIGHTS = (DOCS / "rights.md").read_text()


@pytest.fixture(scope="module")
def service(new_shared_process, databases):
    url = databases.take("migrated")
    process = new_shared_process(TOKENSVC_DATABASE_URL=url)
    process.wait_until_ready()
    yield process
    databases.drop(url)


def test_the_commands_do_what_the_page_says(service):
    shell = Shell(
        service.folder,
        {"KEY": service.admin_key, "URL": service.url, "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    who, made, disabled = (json.loads(shell.run(block)) for block in blocks)
    shell.close()
    assert "keys.create" in who["operations"]
    assert (made["state"], made["metadata"], made["key"][:4]) == (
        "active",
        {"team": "billing"},
        "tsk-",
    )
    assert (disabled["id"], disabled["state"]) == (made["id"], "disabled")


def test_the_python_does_what_the_page_says(service):
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(program, "docs/http-api.md", "exec"), names)
    make_key, change_limit = names["make_key"], names["change_limit"]
    assert callable(make_key)
    assert callable(change_limit)
    key_id, key = make_key(service.url, service.admin_key, 7)
    assert make_key(service.url, service.admin_key, 7) == (key_id, key)
    changed = change_limit(service.url, service.admin_key, key_id, 30)
    assert (changed["id"], changed["own_per_minute"]) == (key_id, 30)
    with pytest.raises(requests.HTTPError, match="403"):
        make_key(service.url, key, 8)


PROBLEMS = (
    errors.InvalidInputError("x"),
    errors.InvalidRequestError("x"),
    errors.MissingTokenError(),
    errors.InvalidClientError("x"),
    errors.InvalidTokenError("x"),
    errors.InsufficientAuthenticationError(600),
    errors.InsufficientScopeError("x"),
    errors.ForbiddenError("x"),
    errors.NotFoundError("x"),
    web.HTTPMethodNotAllowed("PUT", ["GET"]),
    web.HTTPRequestTimeout(),
    errors.ConflictError("x"),
    errors.VersionConflictError(),
    web.HTTPRequestEntityTooLarge(1, 2),
    web.HTTPUnsupportedMediaType(),
    errors.IdempotencyKeyReusedError(),
    errors.RateLimitedError("x", policy="x", limit=1, window=60, retry_after=1),
    errors.UnavailableError("x"),
    errors.OutcomeUnknownError("x"),
    errors.ChangeUnknownError(),
)


def test_the_table_of_problems_is_what_errors_become():
    told = re.findall(r"^\| ([0-9]{3}) \| `(\w+)`", PAGE, re.MULTILINE)
    made = []
    for error in PROBLEMS:
        answer, _ = build_answer(
            error, path="/v1/keys", request_id="x", find_challenge=lambda: "Bearer"
        )
        body = json.loads(answer.body)
        assert body["title"] != body["code"], "each has a title of its own"
        made.append((str(answer.status), body["code"]))
    assert made == told


def test_the_table_of_rights_is_that_of_the_operations():
    rows = re.findall(
        r"^\| `([a-z.-]+)` \| (\w+) \| (\w+) \| (\w+) \| (\w*) *\|$", RIGHTS, re.MULTILINE
    )
    expected = []
    for operation in OPERATIONS.values():
        marks = [
            ("own" if name == "keys" and operation.needs else "yes")
            if not operation.needs or f"tokensvc:{name}" in operation.needs
            else "no"
            for name in ("admin", "read", "keys")
        ]
        note = "fresh" if operation.fresh else "open" if operation.is_open else ""
        expected.append((operation.name, *marks, note))
    assert rows == expected
