"""Who there is: capabilities, audiences, accounts and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Rhythm = Literal["office", "shop", "steady", "nightly", "never"]
Fate = Literal[
    "active", "disabled", "revoked", "expired", "rotated", "replaced", "leaked", "idle", "deleted"
]  # fmt: skip

CAPABILITIES: Final = {
    "orders": ("read", "write", "refund"),
    "payments": ("read", "capture", "refund"),
    "stock": ("read", "write"),
    "invoices": ("read", "write", "send"),
    "profile": ("read", "write"),
    "reports": ("read", "export"),
    "returns": ("read", "write"),
    "search": ("query", "index"),
    "shipping": ("read", "book"),
    "telemetry": ("write",),
}

# Name, what it is for, how many days ago it was made, the life of its tokens in seconds, and what
# signs them.
AUDIENCES: Final = (
    ("orders.acme.example", "Orders and returns", 239.2, 600, "ES256"),
    ("pay.acme.example", "Payments", 239.1, 300, "ES256"),
    ("warehouse.acme.example", "Stock and shipping", 25.4, 900, "EdDSA"),
    ("reports.acme.example", "Reports, for partners with old libraries", 12.3, 3600, "RS256"),
    ("exports.acme.example", "Exports that run for a day", 57.2, 86_400, "ES256"),
)

# Name, and the limits of a key per minute and day.
TIERS: Final = (("partner", 120, 20_000), ("platform", 1200, 1_000_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan:
    """A key: what it holds, and what becomes of it.

    `made`: how many days ago. `peak`: how many exchanges an hour it has when it has most.
    `refused`: how many of a thousand of them are refused, and why. `life`: days that it lives.
    """

    name: str
    account: str
    capabilities: str
    made: float
    peak: int = 0
    rhythm: Rhythm = "office"
    fate: Fate = "active"
    refused: tuple[tuple[str, int], ...] = ()
    life: int | None = None
    networks: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    description: str = ""


# Name, how many days ago it was made, and its tier.
ACCOUNTS: Final = (
    ("Acme Shop", 236, "platform"),
    ("Acme Ops", 235, "platform"),
    ("Acme Finance", 229, None),
    ("Northwind", 204, "partner"),
    ("Brightline", 187, "partner"),
    ("Harbor Logistics", 160, "partner"),
    ("Lumen Health", 131, "partner"),
    ("Pinecrest Bank", 118, "partner"),
    ("Quayside Media", 93, None),
    ("Tern Robotics", 61, "partner"),
    ("Old Mill Press", 44, None),
    ("Contoso Travel", 19, "partner"),
)
SUSPENDED: Final = "Old Mill Press"

_SCOPE: Final = (("invalid_scope", 2),)
_LIMITED: Final = (("key_minute_limited", 9), ("invalid_scope", 1))
_GONE: Final = (("expired", 1000),)


def _keys(account: str, *rows: tuple[Any, ...]) -> tuple[KeyPlan, ...]:
    """Build plans from rows of name, capabilities, made, peak, rhythm, fate and more."""
    built = []
    for name, capabilities, made, peak, rhythm, fate, *more in rows:
        facts = more[0] if more else {}
        built.append(
            KeyPlan(
                name=name,
                account=account,
                capabilities=capabilities,
                made=made,
                peak=peak,
                rhythm=rhythm,
                fate=fate,
                **facts,
            )
        )
    return tuple(built)


KEYS: Final = (
    *_keys(
        "Acme Shop",
        ("checkout-api", "orders:read orders:write payments:read payments:capture stock:read", 90,
         1400, "shop", "active",
         {"refused": (("invalid_scope", 4), ("key_minute_limited", 2)), "life": 170,
          "networks": ("10.24.0.0/16", "10.60.0.0/16"),
          "audiences": ("orders.acme.example", "pay.acme.example"),
          "description": "Takes payments in the checkout, Frankfurt and Dublin clusters."}),
        ("storefront-web", "orders:read stock:read search:query", 84, 2100, "shop", "active",
         {"life": 90, "refused": _SCOPE}),
        ("mobile-gateway", "profile:read profile:write orders:read search:query", 150, 1700,
         "shop", "active", {"refused": _SCOPE}),
        ("search-indexer", "search:index stock:read", 120, 240, "steady", "active"),
        ("returns-api", "returns:read returns:write orders:read", 77, 190, "shop", "active"),
        ("cart-service", "orders:read orders:write", 70, 900, "shop", "rotated"),
        ("gift-cards", "payments:read payments:capture", 66, 60, "shop", "active", {"life": 72}),
        ("recommendations", "orders:read search:query", 52, 420, "shop", "active"),
        ("loyalty-points", "profile:read orders:read", 33, 130, "shop", "active"),
        ("storefront-2024", "orders:read stock:read", 210, 0, "never", "idle"),
        ("black-friday-load", "orders:read orders:write", 29, 800, "office", "revoked"),
        ("returns-labels", "shipping:book returns:read", 21, 75, "office", "active"),
    ),
    *_keys(
        "Acme Ops",
        ("grafana-reader", "tokensvc:read", 200, 120, "steady", "active", {"life": 255}),
        ("ops-bot", "tokensvc:admin", 190, 6, "office", "active"),
        ("mila", "tokensvc:admin", 180, 2, "office", "active", {"description": "Mila's own key"}),
        ("jonas", "tokensvc:admin", 171, 2, "office", "active", {"description": "Jonas's own key"}),
        ("terraform-ci", "tokensvc:keys", 140, 9, "office", "disabled"),
        ("laptop-mila", "tokensvc:admin", 100, 1, "office", "revoked"),
        ("denylist-followers", "tokensvc:denylist", 98, 90, "steady", "active"),
        ("introspection-proxy", "tokensvc:introspect", 57, 40, "steady", "active"),
        ("log-shipper", "telemetry:write", 45, 320, "steady", "active"),
        ("staging-everything", "tokensvc:admin", 39, 0, "never", "deleted"),
    ),
    *_keys(
        "Acme Finance",
        ("billing-nightly", "invoices:read invoices:write invoices:send", 160, 700, "nightly",
         "active"),
        ("month-end-close", "invoices:read reports:export", 110, 20, "office", "active",
         {"life": 116}),
        ("tax-export", "reports:read reports:export", 88, 8, "nightly", "active"),
        ("refund-desk", "payments:refund orders:refund", 47, 45, "office", "replaced"),
        ("auditor-2025", "invoices:read reports:read", 150, 0, "never", "expired", {"life": 60}),
    ),
    *_keys(
        "Northwind",
        ("warehouse-sync", "stock:read stock:write", 130, 360, "steady", "rotated"),
        ("stock-feed", "stock:read", 96, 140, "steady", "active"),
        ("pick-and-pack", "orders:read shipping:book", 71, 260, "office", "active"),
        ("old-reporting", "reports:read", 170, 0, "never", "idle"),
        ("edi-bridge", "orders:read orders:write invoices:read", 42, 90, "office", "active",
         {"refused": _LIMITED}),
        ("northwind-test", "orders:read", 36, 12, "office", "disabled"),
    ),
    *_keys(
        "Brightline",
        ("partner-import", "orders:write", 125, 520, "office", "active",
         {"refused": (("key_minute_limited", 40), ("wrong_network", 2)), "life": 220,
          "networks": ("198.51.100.0/24", "2001:db8:7::/48")}),
        ("price-updates", "stock:read", 79, 210, "steady", "active"),
        ("demo-2025", "orders:read", 143, 4, "office", "expired", {"life": 110, "refused": _GONE}),
        ("catalogue-mirror", "stock:read search:query", 58, 65, "nightly", "active"),
        ("brightline-ci", "orders:read orders:write", 26, 30, "office", "leaked"),
    ),
    *_keys(
        "Harbor Logistics",
        ("dispatch", "shipping:read shipping:book", 115, 330, "office", "active"),
        ("tracking-page", "shipping:read", 102, 560, "shop", "replaced", {"refused": _SCOPE}),
        ("customs-forms", "shipping:read invoices:read", 75, 28, "office", "active"),
        ("driver-app", "shipping:read shipping:book", 53, 410, "office", "rotated"),
        ("harbor-old-vpn", "shipping:read", 150, 0, "never", "idle"),
    ),
    *_keys(
        "Lumen Health",
        ("pharmacy-orders", "orders:read orders:write", 95, 85, "office", "active",
         {"networks": ("203.0.113.0/24",), "life": 101}),
        ("cold-chain", "telemetry:write", 82, 480, "steady", "replaced"),
        ("lumen-dashboard", "orders:read reports:read", 49, 25, "office", "active"),
        ("pilot-clinic", "orders:read", 88, 3, "office", "revoked"),
    ),
    *_keys(
        "Pinecrest Bank",
        ("settlement", "payments:read reports:export", 99, 160, "nightly", "active",
         {"networks": ("192.0.2.0/24",)}),
        ("card-disputes", "payments:read payments:refund", 64, 22, "office", "active"),
        ("pinecrest-uat", "payments:read", 40, 5, "office", "expired", {"life": 30}),
        ("fraud-scoring", "payments:read profile:read", 31, 600, "steady", "active",
         {"refused": (("account_day_limited", 3),)}),
    ),
    *_keys(
        "Quayside Media",
        ("campaign-pixels", "profile:read", 60, 150, "shop", "active"),
        ("newsletter", "profile:read", 51, 30, "nightly", "active"),
        ("quayside-intern", "profile:read profile:write", 28, 2, "office", "revoked"),
    ),
    *_keys(
        "Tern Robotics",
        ("picker-fleet", "stock:read stock:write telemetry:write", 55, 950, "steady", "active"),
        ("fleet-simulator", "telemetry:write", 41, 700, "office", "active",
         {"refused": _LIMITED}),
        ("tern-notebooks", "stock:read", 24, 6, "office", "leaked"),
    ),
    *_keys(
        "Old Mill Press",
        ("print-orders", "orders:read", 43, 18, "office", "active"),
        ("print-archive", "orders:read reports:read", 37, 0, "never", "idle"),
    ),
    *_keys(
        "Contoso Travel",
        ("booking-bridge", "orders:read orders:write", 18, 70, "office", "active"),
        ("contoso-sandbox", "orders:read", 17, 8, "office", "active", {"life": 20}),
        ("itinerary-mail", "profile:read orders:read", 9, 40, "nightly", "active"),
    ),
)  # fmt: skip

# Who is told of what: how many days ago the endpoint was made, its account, address and events.
ENDPOINTS: Final = (
    (150, None, "https://hooks.acme.example/tokensvc", (), "The channel of the operators"),
    (
        80,
        "Northwind",
        "https://chat.northwind.example/hooks/7f3a",
        ("key.rotated", "key.revoked", "key.leaked", "key.expiring"),
        "Northwind's own channel",
    ),
)

# What follows the feed, and how many seconds it is late.
FOLLOWERS: Final = {
    "checkout-api-6f1": 0.0,
    "checkout-api-b02": 0.0,
    "ledger-web-0": 0.0,
    "ledger-web-1": 0.0,
    "mobile-gateway-a7": 0.0,
    "orders-db-proxy": 0.0,
    "returns-api-b4": 2.5,
    "search-indexer-1": 0.0,
    "search-indexer-2": 75.0,
    "stock-api-a19": 0.0,
    "warehouse-eu-1": 0.0,
    "warehouse-us-1": 0.0,
}
