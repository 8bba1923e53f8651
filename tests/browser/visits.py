"""Where the tests go: one address for each page that shows something.

A test compares this with the table of pages, so that none is forgotten.
"""

from __future__ import annotations

from typing import Final

# The path of a page, and an address of it. {key} is a key in use, {revoked} a revoked one, {kid} a
# signing key.
VISITS: Final = {
    "/sign-in": "/sign-in?next=/keys",
    "/sign-in/done": "/sign-in/done?next=/keys",
    "/": "/",
    "/keys": "/keys",
    "/keys/new": "/keys/new?like={key}",
    "/keys/{id}": "/keys/{key}",
    "/keys/{id}/edit": "/keys/{key}/edit",
    "/keys/{id}/rotate": "/keys/{key}/rotate",
    "/keys/{id}/revoke": "/keys/{key}/revoke",
    "/signing-keys": "/signing-keys",
    "/signing-keys/jwks": "/signing-keys/jwks",
    "/signing-keys/rotate": "/signing-keys/rotate",
    "/signing-keys/{kid}": "/signing-keys/{kid}",
    "/signing-keys/{kid}/revoke": "/signing-keys/{kid}/revoke",
    "/denylist": "/denylist",
    "/denylist/revoke": "/denylist/revoke",
    "/health": "/health",
    "/health/doctor": "/health/doctor",
    "/keys/{id}/revoke-tokens": "/keys/{key}/revoke-tokens",
    "/keys/{id}/delete": "/keys/{key}/delete",
    "/keys/{id}/ended": "/keys/{revoked}/ended?ending=revoked&seq=1",
    "/accounts": "/accounts",
    "/accounts/tiers": "/accounts/tiers",
    "/accounts/tiers/new": "/accounts/tiers/new",
    "/accounts/tiers/edit": "/accounts/tiers/edit?name=default",
    "/accounts/new": "/accounts/new",
    "/accounts/{id}": "/accounts/{account}?range=7d",
    "/accounts/{id}/edit": "/accounts/{account}/edit",
    "/accounts/{id}/suspend": "/accounts/{account}/suspend",
    "/accounts/{id}/revoke-tokens": "/accounts/{account}/revoke-tokens",
    "/accounts/{id}/delete": "/accounts/{account}/delete",
    "/accounts/{id}/ended": "/accounts/{account}/ended?ending=suspended&seq=1",
    "/capabilities": "/capabilities",
    "/capabilities/new": "/capabilities/new",
    "/capabilities/edit": "/capabilities/edit?name=orders:read",
    "/capabilities/remove": "/capabilities/remove?name=orders:read",
    "/audiences": "/audiences",
    "/audiences/new": "/audiences/new",
    "/audiences/edit": "/audiences/edit?name=https://orders.acme.example",
    "/audiences/remove": "/audiences/remove?name=https://orders.acme.example",
    "/audit": "/audit",
    "/decoder": "/decoder",
    "/reference": "/reference",
    "/reference/{subject}": "/reference/keys",
    "/reference/{subject}/{name}": "/reference/keys/keys.create",
    "/notices": "/notices",
    "/notices/new": "/notices/new",
    "/notices/deliveries": "/notices/deliveries",
    "/notices/events": "/notices/events",
    "/notices/{id}": "/notices/{endpoint}",
    "/notices/{id}/delete": "/notices/{endpoint}/delete",
}
# More addresses: an empty list, another range.
BESIDES: Final = (
    "/keys?name=nobody-has-this-name",
    "/keys/new?template=ci-job",
    "/accounts?name=nobody-has-this-name",
    "/keys/{key}?range=90d",
    "/keys/{revoked}",
    "/signing-keys?show=all",
    "/denylist?followers=behind&kind=jti",
    "/health?settings=all",
)
# The same pages about things whose names are as wide as they can be.
WIDE: Final = (
    *(
        address.replace("{key}", "{wide}").replace("{account}", "{wide_account}")
        for address in VISITS.values()
        if "{key}" in address or "{account}" in address
    ),
    "/audit?subject={wide}",
    "/keys/{wide}/ended?ending=revoked&seq=1",
    *(f"/capabilities/{act}?name={'w' * 64}" for act in ("edit", "remove")),
    *(f"/audiences/{act}?name={'w' * 200}" for act in ("edit", "remove")),
    f"/accounts/tiers/edit?name={'w' * 32}",
)
