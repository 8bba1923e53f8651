"""The embedded Postgres is saved and restored beside its service."""

from __future__ import annotations

from tests.e2e.calls import exchange, exchange_patiently, new_keys, revoke


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
    assert exchange_patiently(process.url, revoked.text).status == 401
    assert exchange_patiently(process.url, kept.text).status == 200
