"""What a notice says: the body for a receiver on the web, and the text of a mail."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, cast

from tokensvc.core.notices.event import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tokensvc.core.notices.event import Notice

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - every secret begins with it

# Standard Webhooks asks for 24 to 64.
_SECRET_BYTES: Final = 32
_TOLD_OF_ACTS: Final = ("reason", "successor", "grace_seconds", "with_predecessor", "ending")
_MOST_LISTED: Final = 100


def new_secret() -> str:
    """Return a fresh secret of an endpoint, as Standard Webhooks writes it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def choose_detail(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return what receivers are told of an act, of all that the audit trail keeps of it."""
    return {name: detail[name] for name in _TOLD_OF_ACTS if detail.get(name) not in {None, ""}}


def build_body(notice: Notice) -> str:
    """Return the body for a receiver: JSON with `type`, `timestamp` and `data`."""
    data = {
        "id": notice.id,
        "number": notice.subject_number,
        "subject": notice.subject,
        "account": notice.account_id,
        **notice.detail,
    }
    body = {"type": notice.name, "timestamp": _format(notice.at), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def build_subject(notices: Sequence[Notice]) -> str:
    """Return the subject of a mail about these events, in one line of printable characters."""
    first = _describe(notices[0])
    more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
    line = "".join(character if character.isprintable() else " " for character in first)
    return line[:150] + more


def build_confirmation(issuer: str, link: str) -> str:
    """Return the text of the mail that asks whether notices may be sent."""
    return (
        f"Somebody wants the token service {issuer} to send notices about API keys to this "
        "address.\n\nIf that is right, open this page within seven days and confirm it:\n\n"
        f"{link}\n\n"
        "If it is not, do nothing. Then nothing will be sent to you.\n"
    )


def build_mail(notices: Sequence[Notice], issuer: str, unsubscribe: str) -> str:
    """Return the text of a mail about these events. `unsubscribe`: the link that ends them."""
    lines = []
    for notice in notices[:_MOST_LISTED]:
        lines.append(f"{_format(notice.at)}  {_describe(notice)}")
        lines += [
            f"    {name}: {_write(value)}"
            for name, value in notice.detail.items()
            if name != "name"
        ]
        lines += [f"    {notice.name}, number {notice.subject_number} of {notice.subject}", ""]
    lines += [
        f"This is from the token service {issuer}. No secret is ever sent by mail.",
        f"To get no more of these mails, open {unsubscribe}",
    ]
    return "\n".join(lines) + "\n"


def _describe(notice: Notice) -> str:
    """Return one sentence about an event."""
    facts = EVENTS.get(cast("Any", notice.name))
    text = notice.name if facts is None else facts.text
    kind = notice.name.partition(".")[0].replace("_", " ")
    kind = "API key" if kind == "key" else kind
    name = notice.detail.get("name")
    subject = f"{kind} {notice.subject}" if name is None else f"{kind} {name!r} ({notice.subject})"
    sentence = text.replace("{subject}", subject)
    return sentence[:1].upper() + sentence[1:]


def _write(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
