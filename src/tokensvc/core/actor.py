"""Who acts: what the audit trail keeps of a person or program that changes something."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tokensvc.core.network import find_network_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts, and from where.

    `name`: "key_..." for an API key, "cli:root" for a person at the command line of the host,
    "holder" for the holder of a credential, and the name of a task of the service ("start").
    `account_id`: the account of the API key. `address`: of the client, or its network.
    `request_id`: the log lines of the request have it as well. `must_stand`: the actor is an API
    key that calls an operation, so the change is undone if that key ends before the commit.
    """

    name: str
    account_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    must_stand: bool = False

    @property
    def caller(self) -> str | None:
        """The id of the API key that must stand, None for all others who act."""
        return self.name if self.must_stand else None

    def shorten(self) -> Actor:
        """Return the same with the network (/24 or /48) in the place of the address."""
        if self.address is None:
            return self
        return replace(self, address=find_network_of(self.address))

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the actor, as the functions of the database take it."""
        named = {
            "name": self.name,
            "account_id": self.account_id,
            "address": self.address,
            "request_id": self.request_id,
        }
        return {field: text for field, text in named.items() if text is not None}

    @classmethod
    def command_line(cls, user: str) -> Actor:
        """Return a person at the command line of the host."""
        return cls(name=f"cli:{user}")
