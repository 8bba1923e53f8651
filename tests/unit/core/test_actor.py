from __future__ import annotations

import pytest

from tokensvc.core.actor import Actor


def test_only_what_is_known_of_an_actor_is_handed_on():
    actor = Actor(name="key_1", account_id="acct_1", request_id="r1")
    assert actor.facts == {"name": "key_1", "account_id": "acct_1", "request_id": "r1"}
    assert Actor.command_line("root").facts == {"name": "cli:root"}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        (None, None),
    ],
)
def test_an_address_is_shortened_to_its_network(address, network):
    assert Actor(name="holder", address=address).shorten().address == network
