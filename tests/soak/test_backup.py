"""The embedded Postgres is saved and restored beside its service."""

from __future__ import annotations

from testbed.waiting import wait_until

from tests.e2e.calls import exchange, new_keys, revoke, try_exchange


def test_f31_the_embedded_postgres_is_restored_while_its_service_runs(new_process):
    process = new_process()
    process.wait_until_ready()
    kept, revoked = new_keys(process, 2)
    exchange(process.url, revoked.text)
    assert process.cli("backup", "monday.backup").returncode == 0
    assert revoke(process.url, revoked.text) == 200
    restored = process.cli("restore", "monday.backup", "--yes")
    assert restored.returncode == 0, restored.stderr
    assert "postgres_before_" in restored.stdout
    wait_until(process.is_ready)
    wait_until(lambda: try_exchange(process.url, kept.text).status == 200)
    assert try_exchange(process.url, revoked.text).status == 401
