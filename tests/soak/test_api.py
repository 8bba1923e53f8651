"""The whole API under made-up requests: it answers only as the document says, and never fails."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import requests

FOLDER = Path(__file__).parent
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
# Each answer is one that the document describes.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)


def prepare(process):
    """Return who calls, and an account that keys can be made for."""
    headers = {"Authorization": f"Bearer {process.admin_key}"}

    def call(method, path, body=None):
        answer = requests.request(
            method, process.url + path, json=body, headers=headers, timeout=30
        )
        assert answer.ok, answer.text
        return answer.json()

    caller = call("GET", "/v1/whoami")
    if "orders:read" not in {item["name"] for item in call("GET", "/v1/capabilities")["items"]}:
        call("POST", "/v1/capabilities", {"name": "orders:read"})
    prepared = call("POST", "/v1/accounts", {"name": "Orders"})["id"]
    return {"key": caller["key"], "account": caller["account"], "prepared": prepared}


def fuzz(process, seconds, report):
    """Return what schemathesis says, and its exit code."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{process.url}/openapi.json",
        "--max-time", str(seconds), "--checks", CHECKS, "--continue-on-failure", "--no-color",
        "--workers", "1", "--request-timeout", "40", "--suppress-health-check", "all",
        "--generation-database", "none", "--warnings", "off", "--no-shrink",
        "-H", f"Authorization: Bearer {process.admin_key}",
        "--report-json-path", str(report),
    ]  # fmt: skip
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "api_hooks",
        "PYTHONPATH": str(FOLDER),
        "FUZZ_OWN": json.dumps(prepare(process)),
    }
    done = subprocess.run(
        command, cwd=report.parent, env=environment, capture_output=True, text=True, check=False,
        timeout=2 * seconds + 300,
    )  # fmt: skip
    return done.stdout, done.returncode


async def test_made_up_requests_get_only_answers_that_the_document_describes(new_process, tmp_path):
    process = await asyncio.to_thread(
        new_process,
        TOKENSVC_CALLS_PER_MINUTE="1000000",
        TOKENSVC_REFUSALS_PER_MINUTE="1000000",
        TOKENSVC_LOG_LEVEL="warning",
    )
    await asyncio.to_thread(process.wait_until_ready)
    said, code = await asyncio.to_thread(fuzz, process, SECONDS, tmp_path / "report.json")
    assert code == 0, said[-20_000:]
    answer = requests.get(
        f"{process.url}/v1/whoami",
        headers={"Authorization": f"Bearer {process.admin_key}"},
        timeout=30,
    )
    assert answer.status_code == 200, "the caller ended itself, so not everything was tried"
