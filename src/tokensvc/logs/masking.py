"""Masking what looks like a secret.

This is the last net and not the first: nothing hands a secret to the log on purpose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

# What begins like a JWT, and is one if it has a second part. What has none is taken as a whole too:
# else it would be looked through again from each `eyJ` in it, which takes seconds in a long text.
_TOKEN: Final = re.compile(r"eyJ[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]*)?)?")
# API keys of any prefix, passwords in URLs, secrets that sign notices.
_SECRETS: Final = re.compile(
    r"(?<![0-9A-Za-z_])[0-9A-Za-z]{1,7}-[0-9A-Za-z]{28,34}(?![0-9A-Za-z_-])"
    r"|(?<=://)[^/@\s]+(?=@)"
    r"|whsec_[0-9A-Za-z+/=]+"
)
_MASK: Final = "[masked]"
_MAX_LENGTH: Final = 8192


def mask_secrets(text: str) -> str:
    """Return `text` without whatever looks like a key, a token or a password."""
    return _SECRETS.sub(_MASK, _TOKEN.sub(lambda found: _MASK if found[1] else found[0], text))


def mask_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask every value of an event, and cut long ones (a processor of structlog)."""
    for name, value in event.items():
        if name != "_record":
            event[name] = _mask(value)
    return event


def _mask(value: Any) -> Any:  # noqa: ANN401 - whatever was logged
    if isinstance(value, str):
        return mask_secrets(value)[:_MAX_LENGTH]
    if isinstance(value, list | tuple):
        return [_mask(item) for item in value]
    if isinstance(value, dict):
        return {name: _mask(item) for name, item in value.items()}
    return value
