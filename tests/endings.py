"""The acts that end keys, accounts and their tokens, by a name each.

They are what the operations call. Each gets the database, an id and `actor`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tokensvc.issuer.revoking.endings import end_account, end_key

# What it returns says all that became of it: see `EndedKey` and `EndedAccount`.
Act = Callable[..., Coroutine[Any, Any, Any]]

disable_key: Act = partial(end_key, ending="key_disabled")
revoke_key: Act = partial(end_key, ending="key_revoked", reason="")
delete_key: Act = partial(end_key, ending="key_deleted")
revoke_tokens_of_key: Act = partial(end_key, ending="key_tokens_revoked", reason="")
suspend_account: Act = partial(end_account, ending="account_suspended")
delete_account: Act = partial(end_account, ending="account_deleted")
revoke_tokens_of_account: Act = partial(end_account, ending="account_tokens_revoked", reason="")
