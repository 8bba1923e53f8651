"""What an account may say of its keys: metadata of its own, and claims for their tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_METADATA_BYTES: Final = 4096
# Claims stand in every token of a key, which has to fit into a header.
MAX_CLAIMS_BYTES: Final = 1024
_MAX_DEPTH: Final = 8
_MAX_NAME: Final = 100

# Registered names that a relying party may decide by (RFC 7519, 8693, 7800, 9068, OpenID Connect),
# and what the service itself says in a token.
_REFUSED: Final = frozenset(
    """
    iss sub aud exp nbf iat jti name given_name family_name middle_name nickname
    preferred_username profile picture website email email_verified gender birthdate zoneinfo
    locale phone_number phone_number_verified address updated_at azp nonce auth_time at_hash
    c_hash acr amr sub_jwk cnf sip_from_tag sip_date sip_callid sip_cseq_num sip_via_branch orig
    dest mky events toe txn rph sid vot vtm attest origid act scope client_id may_act jcard
    at_use_nbr div opt vc vp sph ace_profile cnonce exi roles groups entitlements
    token_introspection sub_id htm htu ath status _claim_names _claim_sources
    authorization_details verified_claims cdniv cdnicrit cdniip cdniuc cdniets cdnistt cdnistd
    sig_val_claims rcd rcdi crn msgi
    """.split()  # noqa: SIM905 - a list of them would be a hundred lines
)
_REFUSED_PREFIXES: Final = ("origin_", "tokensvc")


def check_metadata(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `metadata` if it is a small JSON object. Raises InvalidInputError."""
    _check_object(metadata, "metadata", MAX_METADATA_BYTES)
    return metadata


def check_own_claims(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `claims` if they may stand in every token of a key. Raises InvalidInputError.

    Relying parties trust them. So none may have a name that means something already.
    """
    _check_object(claims, "claims", MAX_CLAIMS_BYTES)
    for name in claims:
        if name in _REFUSED or name.startswith(_REFUSED_PREFIXES):
            raise InvalidInputError(f"the claim {name[:80]!r} is set by the service or registered")
    return claims


def _check_object(value: Mapping[str, Any], what: str, most: int) -> None:
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8"))
    except (ValueError, RecursionError) as error:  # a lone surrogate, NaN, too deep
        raise InvalidInputError(f"{what} must be JSON in UTF-8") from error
    if size > most:
        raise InvalidInputError(f"{what} may have {most} bytes as JSON, and has {size}")
    _check_values(value, what, _MAX_DEPTH)


def _check_values(value: object, what: str, depth: int) -> None:
    """Refuse what Postgres's jsonb cannot hold, and what is nested too deeply."""
    if depth == 0:
        raise InvalidInputError(f"{what} is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, str) and "\0" in value:
        raise InvalidInputError(f"{what} holds a NUL character")
    if isinstance(value, dict):
        for name, inner in value.items():
            if not 1 <= len(name) <= _MAX_NAME or "\0" in name:
                raise InvalidInputError(f"a name in {what} has 1 to {_MAX_NAME} characters")
            _check_values(inner, what, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_values(inner, what, depth - 1)
