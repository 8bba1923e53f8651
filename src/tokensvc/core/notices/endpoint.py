"""An endpoint: a receiver on the web or a mailbox, and what it is told of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tokensvc.core.notices.destination import find_mail_address

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.notices.destination import Kind

EndpointState = Literal["active", "unconfirmed", "failing", "disabled"]
DisabledBecause = Literal["asked", "failing", "gone", "unsubscribed"]

MOST_ENDPOINTS: Final = 20  # of an account, and of the whole service
MOST_LINKS: Final = 10  # that mailboxes of an account are sent within a day: nobody there has asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Facts with their times. `account_id` None: it is told of the whole service.

    `events`: none stands for all. `confirmed_at`: a receiver on the web is confirmed from the
    start. `old_secret_until`: until then the secret from before the rotation signs as well.
    """

    id: str
    account_id: str | None
    url: str
    events: tuple[str, ...]
    description: str
    created_at: datetime
    confirmed_at: datetime | None
    disabled_at: datetime | None
    disabled_because: DisabledBecause | None
    failing_since: datetime | None
    failures: int
    old_secret_until: datetime | None

    @property
    def kind(self) -> Kind:
        """Whether it is a receiver on the web or a mailbox."""
        return "webhook" if find_mail_address(self.url) is None else "mail"

    @property
    def state(self) -> EndpointState:
        """What becomes of events for it."""
        if self.disabled_at is not None:
            return "disabled"
        if self.confirmed_at is None:
            return "unconfirmed"
        return "active" if self.failing_since is None else "failing"


def build_secret_context(endpoint_id: str) -> str:
    """Return what the sealed secrets of an endpoint belong to."""
    return f"secret of notice endpoint {endpoint_id}"
