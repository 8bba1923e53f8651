"""The programs in `examples/` do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.soak.examples import EXAMPLES as SERVICES
from tests.soak.examples import PROXIES

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_keys_are_made_for_customers_and_made_once(new_process, database_url, tmp_path):
    process = new_process(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    (tmp_path / "admin.key").write_text(process.admin_key + "\n")
    (tmp_path / "customers.txt").write_text("Orders Ltd\n\nBäckerei Süß\n")
    for _ in range(2):
        subprocess.run(
            [
                sys.executable,
                str(EXAMPLES / "customer_keys.py"),
                process.url,
                "customers.txt",
                "keys.jsonl",
            ],
            cwd=tmp_path,
            env={"TOKENSVC_KEY_FILE": "admin.key", "PATH": "/usr/bin:/bin"},
            check=True,
            timeout=60,
        )
    rows = [json.loads(line) for line in (tmp_path / "keys.jsonl").read_text().splitlines()]
    assert [row["customer"] for row in rows] == ["Orders Ltd", "Bäckerei Süß"] * 2
    assert rows[:2] == rows[2:]
    assert all(row["key"].startswith("tsk-") for row in rows)
    assert (tmp_path / "keys.jsonl").stat().st_mode & 0o077 == 0


def test_the_page_of_the_examples_links_each_that_is_run():
    page = (EXAMPLES / "README.md").read_text()
    for service in SERVICES:
        assert re.search(rf"\]\({service.folder}/|^\[\d\]: {service.folder}/", page, re.MULTILINE)
    for proxy in PROXIES:
        (file,) = (EXAMPLES / "proxy").glob(f"{proxy}.*")
        assert f"](proxy/{file.name})" in page


def test_the_example_of_a_test_passes_where_it_is_copied(tmp_path):
    shutil.copytree(EXAMPLES / "python", tmp_path, dirs_exist_ok=True)
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto"],
        cwd=tmp_path,
        env={"ISSUER": "http://127.0.0.1:9", "AUDIENCE": "api", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.stdout.count("1 passed") == 1, tested.stdout + tested.stderr
