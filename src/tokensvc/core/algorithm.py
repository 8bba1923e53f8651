"""The algorithms that sign tokens (RFC 7518 section 3.1, RFC 8037 section 3.1)."""

from __future__ import annotations

from typing import Final, Literal, get_args

Algorithm = Literal["ES256", "EdDSA", "RS256"]

ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)
DEFAULT_ALGORITHM: Final[Algorithm] = "ES256"
