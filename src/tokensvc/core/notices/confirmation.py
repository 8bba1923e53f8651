"""The link in a mail that confirms the mailbox: whoever opens it can read what is sent there.

Nothing is stored for it: the code in the link says which endpoint, until when, and holds a MAC over
that and the address, made with a key that is derived from the master key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.identifier import ENDPOINT_ID_PATTERN

if TYPE_CHECKING:
    from tokensvc.core.sealing import MasterKey

LINK_LIFE: Final = timedelta(days=7)

_PURPOSE: Final = b"tokensvc confirmation of a mailbox"
_CODE = re.compile(rf"({ENDPOINT_ID_PATTERN})\.([0-9]{{1,12}})\.([0-9A-Za-z_-]{{43}})", re.ASCII)


class Code(NamedTuple):
    """A code that has the right form. Nothing of it is proved yet."""

    endpoint_id: str
    expires: int
    mac: str


def build_code(endpoint_id: str, url: str, now: datetime, master_key: MasterKey) -> str:
    """Return the code of a link for the endpoint with this URL. It is good for seven days."""
    expires = int((now + LINK_LIFE).timestamp())
    return f"{endpoint_id}.{expires}.{_build_mac(endpoint_id, url, expires, master_key)}"


def parse_code(text: str) -> Code | None:
    """Return a code in parts, None if it is none."""
    match = _CODE.fullmatch(text)
    return None if match is None else Code(match[1], int(match[2]), match[3])


def is_good(code: Code, url: str, now: datetime, master_key: MasterKey) -> bool:
    """Tell whether a code was made for the endpoint with this URL, and is not over."""
    mac = _build_mac(code.endpoint_id, url, code.expires, master_key)
    return hmac.compare_digest(mac, code.mac) and now.astimezone(UTC).timestamp() <= code.expires


def _build_mac(endpoint_id: str, url: str, expires: int, master_key: MasterKey) -> str:
    key = hmac.digest(master_key.secret, _PURPOSE, hashlib.sha256)
    mac = hmac.digest(key, f"{endpoint_id} {expires} {url}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode("ascii").rstrip("=")
