from __future__ import annotations


def test_serve_starts_and_stops(new_process):
    process = new_process()
    process.wait_until_ready()
    assert process.admin_key
