"""Who a service is: by which issuer its tokens name it, and how its API keys begin.

Both are kept in the database. A second service with another issuer on the same database, most often
by a mistake in its settings, would issue tokens that nobody accepts.
"""

from __future__ import annotations

from typing import NamedTuple

from tokensvc.core.errors import StartRefusedError


class Identity(NamedTuple):
    """What is kept. `issuer`: None for one on loopback, with which a service is only tried out."""

    issuer: str | None
    key_prefix: str


class IdentityChoice(NamedTuple):
    """What is to be kept from now on, and what the operator must hear."""

    kept: Identity
    warnings: tuple[str, ...]


def decide_identity(kept: Identity | None, ours: Identity, *, former: str) -> IdentityChoice:
    """Decide whether a start with `ours` fits to what the database has kept.

    `former`: the issuer that the operator says is replaced, empty if none is. Raises
    StartRefusedError if another issuer was kept.
    """
    if kept is None:
        return IdentityChoice(ours, ())
    warnings = []
    if kept.key_prefix != ours.key_prefix:
        warnings.append(
            f"API keys begin with {ours.key_prefix} here, and began with {kept.key_prefix} at the "
            "start before: keys with another beginning are refused (TOKENSVC_KEY_PREFIX)"
        )
    if ours.issuer is None and kept.issuer is not None:
        warnings.append(
            f"the database belongs to {kept.issuer}, and tokens of this process do not name it: "
            "set TOKENSVC_ISSUER"
        )
    elif kept.issuer not in {None, ours.issuer}:
        if kept.issuer != former:
            raise StartRefusedError(
                f"the database belongs to {kept.issuer}, and TOKENSVC_ISSUER is {ours.issuer}: "
                "those who trust the one refuse tokens of the other. Correct TOKENSVC_ISSUER or "
                "the database; if the service has moved, TOKENSVC_FORMER_ISSUER must be "
                f"{kept.issuer}"
            )
        warnings.append(f"the issuer was {kept.issuer}, and is {ours.issuer} from now on")
    return IdentityChoice(Identity(ours.issuer or kept.issuer, ours.key_prefix), tuple(warnings))
