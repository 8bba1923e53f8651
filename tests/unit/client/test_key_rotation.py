"""A key that rotates itself; `tests/web/test_rotating_source.py` asks a service for successors."""

from __future__ import annotations

import time

from tokensvc.client._key_rotation import KeyRotation
from tokensvc.client._options import ExchangeOptions

OPTIONS = ExchangeOptions(
    issuer="https://issuer.example",
    audience=None,
    scope=None,
    expires_in=None,
    timeout=1.0,
    patience=1.0,
    tls=None,
    allow_http=False,
    clock=time.monotonic,
    chance=lambda: 0.5,
)


async def test_a_file_that_is_no_text_is_logged_and_left_alone(tmp_path, caplog):
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfe\xff")
    await KeyRotation(OPTIONS, path, every=0).rotate()
    assert "UnicodeDecodeError" in caplog.text
    assert path.read_bytes() == b"\xff\xfe\xff"
