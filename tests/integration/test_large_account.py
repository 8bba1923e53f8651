"""An account with ten thousand keys ends in one row."""

from __future__ import annotations

from tests import endings
from tests.factories import make_claims
from tests.integration.things import ACTOR
from tests.rows import list_denylist

from tokensvc.core.denylist.lookup import Denylist
from tokensvc.core.identifier import AccountId, KeyId, Kid
from tokensvc.issuer.admin import accounts


async def test_all_keys_of_an_account_are_stopped_by_one_row(database, connection):
    account = await accounts.create_account(database, "Large", actor=ACTOR)
    await connection.execute(
        "insert into api_key"
        " (id, account_id, digest, hint, name, description, capabilities, created_at, window_id)"
        " select id, $1, sha256(n::text::bytea), '', 'n', '', '{a}', clock_timestamp(), id"
        " from generate_series(1, 10000) n, concat('key_', lpad(n::text, 16, '0')) id",
        account.id,
    )
    await endings.suspend_account(database, account.id, actor=ACTOR)
    (row,) = await list_denylist(database)
    assert (row.revocation.kind, row.revocation.value) == ("account", account.id)
    denylist = Denylist()
    denylist.add([row.revocation])
    upto = row.revocation.upto or 0
    for number in (1, 5000, 10_000):
        owner, key_id = AccountId(account.id), KeyId(f"key_{number:016}")
        old = make_claims(sub=owner, client_id=key_id, iat=upto)
        new = make_claims(sub=owner, client_id=key_id, iat=upto + 1)
        assert denylist.find_revocation(old, Kid("k")) is not None
        assert denylist.find_revocation(new, Kid("k")) is None
