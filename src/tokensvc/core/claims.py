"""The claims of a token (RFC 9068 section 2.2, RFC 7519 section 4) and the rules that judge them.

Signature and header are judged before, in `token`; revocation after, in `denylist`. Times are
NumericDate: whole seconds since 1970.
"""

from __future__ import annotations

import functools
import json
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.errors import InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokensvc.core.identifier import AccountId, Jti, KeyId, Kid

_JSON: Final = json.JSONEncoder(separators=(",", ":"))
# What the service itself says in tokens, or judges in them; everything else is `extra`.
_OUR_NAMES: Final = frozenset(
    {
        "iss", "sub", "aud", "iat", "exp", "nbf", "jti", "client_id", "scope", "origin_jti",
        "origin_kid", "auth_time", "cnf",
    }
)  # fmt: skip
# What nearly every token says, and nothing else.
_USUAL_NAMES: Final = frozenset({"iss", "sub", "aud", "iat", "exp", "jti", "client_id", "scope"})
# What is text in every token, besides the audience, which is judged before.
_TEXTS: Final = ("sub", "jti", "client_id", "scope")
_get_texts: Final = itemgetter(*_TEXTS)
NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})
_NUMBERS: Final = frozenset({int, float})  # and not bool, which is no number in JSON
# Seconds; no clock shows such a moment. NaN is refused with it: no comparison with NaN is true.
FAR: Final = 2**53


class Claims(NamedTuple):
    """What a token says. Only issuing and verifying make these, so they may be trusted.

    `sub` is the account, `client_id` the API key. If the token was narrowed from another one,
    `origin_jti` is the id of that one and `origin_kid` the key that signed it: a revocation of the
    original revokes this token too. `auth_time`: when the API key was shown, in a token for calls
    to the service itself. `extra`: the key's own claims, and whatever else is no claim of ours.
    """

    iss: str
    sub: AccountId
    aud: str
    iat: int
    exp: int
    jti: Jti
    client_id: KeyId
    scope: tuple[str, ...]
    origin_jti: Jti | None = None
    origin_kid: Kid | None = None
    auth_time: int | None = None
    extra: Mapping[str, Any] = NO_CLAIMS

    # `extra` cannot be hashed, and the `jti` alone tells the tokens of an issuer apart.
    def __hash__(self) -> int:
        """Return the hash of what tells two tokens apart."""
        return hash((self.iss, self.jti))

    def has(self, *capabilities: str) -> bool:
        """Tell whether the token carries all of `capabilities`."""
        return all(capability in self.scope for capability in capabilities)


def build_payload(claims: Claims) -> dict[str, Any]:
    """Return the JSON object that is signed."""
    payload: dict[str, Any] = {
        "iss": claims.iss,
        "sub": claims.sub,
        "aud": claims.aud,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "client_id": claims.client_id,
        "scope": " ".join(claims.scope),
    }
    if claims.origin_jti is not None:
        payload["origin_jti"] = claims.origin_jti
    if claims.origin_kid is not None:
        payload["origin_kid"] = claims.origin_kid
    if claims.auth_time is not None:
        payload["auth_time"] = claims.auth_time
    payload.update(claims.extra)
    return payload


def build_payload_text(claims: Claims, extra: str | None = None) -> bytes:
    """Return `build_payload` as JSON text.

    What many tokens have in common is written once. `extra`: the text that `claims.extra` was
    parsed from, if it was; to write it again for each token would cost more than all else here.
    """
    # Narrowed tokens, and those for the service itself, are so few that they are written slowly.
    if claims.origin_jti or claims.origin_kid or claims.auth_time is not None:
        return _JSON.encode(build_payload(claims)).encode("ascii")
    if extra is None and claims.extra:
        extra = _JSON.encode(dict(claims.extra))
    # Ids need no quoting: Postgres takes, and `new_jti` makes, only letters, digits and `_`.
    return (
        f'{{"iss":{_quote(claims.iss)},"sub":"{claims.sub}","aud":{_quote(claims.aud)},'
        f'"iat":{claims.iat},"exp":{claims.exp},"jti":"{claims.jti}",'
        f'"client_id":"{claims.client_id}",{_write_end(claims.scope, extra)}'
    ).encode()


@functools.lru_cache(maxsize=1024)  # issuer and audiences: few, however many keys there are
def _quote(text: str) -> str:
    return _JSON.encode(text)


@functools.lru_cache(maxsize=1024)  # many keys have the same capabilities
def _write_end(scope: tuple[str, ...], extra: str | None) -> str:
    """Return the end of the JSON text of a payload: its scope, and the key's own claims."""
    own = NO_CLAIMS if extra is None else parse_extra(extra)
    return _JSON.encode({"scope": " ".join(scope), **own}).removeprefix("{")


@functools.lru_cache(maxsize=4096)  # all tokens of a key have the same
def parse_extra(text: str) -> Mapping[str, Any]:
    """Return a key's own claims, which are stored as JSON text."""
    # No claim of a key may replace one of ours, whatever its row holds.
    kept: dict[str, Any] = json.loads(text)
    return MappingProxyType({name: kept[name] for name in kept if name not in _OUR_NAMES})


def check_claims(
    payload: Mapping[str, Any],
    *,
    issuer: str,
    audiences: frozenset[str] | None,
    now: float,
    leeway: float,
) -> Claims:
    """Return the claims of a payload whose signature has been verified.

    `now` and `leeway` are seconds. `audiences` None accepts a token for any audience; only the
    issuer itself may do that. The audience is one string, compared exactly: tokensvc never signs a
    list, so a token with a list is not from tokensvc. Raises InvalidTokenError.
    """
    if payload.get("iss") != issuer:
        raise InvalidTokenError("wrong_issuer", said=payload.get("iss"), wanted=issuer)
    aud = _text(payload, "aud")
    if audiences is not None and aud not in audiences:
        raise InvalidTokenError("wrong_audience", said=aud, wanted=tuple(sorted(audiences)))
    # Nearly all tokens hold exactly the same claims, and are spared the search for rarer ones.
    is_usual = payload.keys() == _USUAL_NAMES
    # A token with `cnf` is bound to a key of its sender, which nobody checks here (RFC 7800).
    if not is_usual and "cnf" in payload:
        raise InvalidTokenError("unknown_confirmation")
    sub, jti, client_id, scope = _read_texts(payload)
    iat, exp = _seconds(payload, "iat"), _seconds(payload, "exp")
    not_before = iat if is_usual or "nbf" not in payload else _seconds(payload, "nbf")
    check_validity(iat=iat, exp=exp, not_before=not_before, now=now, leeway=leeway)
    claims = Claims(issuer, sub, aud, iat, exp, jti, client_id, tuple(scope.split()))
    return claims if is_usual else _add_unusual(claims, payload)


def _add_unusual(claims: Claims, payload: Mapping[str, Any]) -> Claims:
    return claims._replace(
        origin_jti=_text(payload, "origin_jti") if "origin_jti" in payload else None,
        origin_kid=_text(payload, "origin_kid") if "origin_kid" in payload else None,
        auth_time=_seconds(payload, "auth_time") if "auth_time" in payload else None,
        extra=_find_extra(payload),
    )


def _find_extra(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    if _OUR_NAMES.issuperset(payload):
        return NO_CLAIMS
    return MappingProxyType({name: payload[name] for name in payload.keys() - _OUR_NAMES})


def check_validity(*, iat: int, exp: int, not_before: int, now: float, leeway: float) -> None:
    """Raise InvalidTokenError unless `now` lies between issue and expiry.

    All are seconds. `leeway` widens the time at both ends.
    """
    if exp + leeway <= now:
        raise InvalidTokenError("expired")
    if max(iat, not_before) - leeway > now:
        raise InvalidTokenError("not_yet_valid")


def _read_texts(payload: Mapping[str, Any]) -> Sequence[Any]:
    """Return the claims of `_TEXTS`, in that order."""
    try:
        texts: Sequence[Any] = _get_texts(payload)
    except KeyError:
        texts = ()
    # All four are judged at once, because four calls would slow down every verification.
    if set(map(type, texts)) != {str} or not all(texts):
        return [_text(payload, name) for name in _TEXTS]  # which raises, and names the first one
    return texts


def _text(payload: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a str of whatever NewType
    value = payload.get(name)
    if type(value) is not str or not value:
        raise InvalidTokenError(f"bad_claim_{name}")
    return value


def _seconds(payload: Mapping[str, Any], name: str) -> int:
    value: Any = payload.get(name)
    if type(value) not in _NUMBERS or not -FAR < value < FAR:
        raise InvalidTokenError(f"bad_claim_{name}")
    return int(value)
