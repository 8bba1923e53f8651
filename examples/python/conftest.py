"""Gives tests the fixtures `fake_issuer`, `fake_token` and `fake_verifier`."""

from __future__ import annotations

pytest_plugins = ["tokensvc.verify.testing_pytest"]
