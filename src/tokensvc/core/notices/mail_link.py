"""The links in a mail, which are good without a sign-in: a person who has one reads that mailbox.

Nothing is stored for them: the code in a link says which endpoint, until when, and holds a MAC over
that and the address, made with a key that is derived from the master key, for each purpose another.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tokensvc.core.base64url import encode_base64url
from tokensvc.core.identifier import ENDPOINT_ID_PATTERN

if TYPE_CHECKING:
    from tokensvc.core.sealing import MasterKey

# What a link does: notices are sent there from then on, or no more.
Purpose = Literal["confirm", "unsubscribe"]

LIVES: Final[dict[Purpose, timedelta]] = {
    "confirm": timedelta(days=7),
    "unsubscribe": timedelta(days=365),
}

_CONTEXTS: Final[dict[Purpose, bytes]] = {
    "confirm": b"tokensvc confirmation of a mailbox",
    "unsubscribe": b"tokensvc end of notices to a mailbox",
}
_CODE: Final = re.compile(
    rf"({ENDPOINT_ID_PATTERN})\.([0-9]{{1,12}})\.([0-9A-Za-z_-]{{43}})", re.ASCII
)


class Code(NamedTuple):
    """A code that has the right form. Nothing of it is proved yet."""

    endpoint_id: str
    expires: int
    mac: str


def build_link(
    issuer: str, purpose: Purpose, endpoint_id: str, url: str, now: datetime, master_key: MasterKey
) -> str:
    """Return a link of the service at `issuer` for the endpoint with this URL."""
    expires = int((now + LIVES[purpose]).timestamp())
    mac = _build_mac(purpose, endpoint_id, url, expires, master_key)
    return f"{issuer}/notices/{purpose}?code={endpoint_id}.{expires}.{mac}"


def parse_code(text: str) -> Code | None:
    """Return a code in parts, None if it is none."""
    match = _CODE.fullmatch(text)
    return None if match is None else Code(match[1], int(match[2]), match[3])


def is_good(code: Code, purpose: Purpose, url: str, now: datetime, master_key: MasterKey) -> bool:
    """Tell whether a code was made for this and the endpoint with this URL, and is not over."""
    mac = _build_mac(purpose, code.endpoint_id, url, code.expires, master_key)
    return hmac.compare_digest(mac, code.mac) and now.astimezone(UTC).timestamp() <= code.expires


def _build_mac(
    purpose: Purpose, endpoint_id: str, url: str, expires: int, master_key: MasterKey
) -> str:
    # The address is in the MAC too, so that a link is of no use for another one.
    key = hmac.digest(master_key.secret, _CONTEXTS[purpose], hashlib.sha256)
    mac = hmac.digest(key, f"{endpoint_id} {expires} {url}".encode(), hashlib.sha256)
    return encode_base64url(mac).decode("ascii")
