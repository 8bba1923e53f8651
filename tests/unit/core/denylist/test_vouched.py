from __future__ import annotations

from tests.factories import NOW, seconds

from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.denylist.vouched import VouchedDenylist
from tokensvc.core.identifier import Kid

EXP = seconds(NOW) + 720
FIRST, SECOND = Kid("first"), Kid("second")


def test_what_several_signers_vouch_for_counts_once():
    made = VouchedDenylist()
    assert len(made) == 0
    made.add([Revocation("jti", "a", EXP), Revocation("key", "k", EXP, EXP)], FIRST)
    assert len(made) == 2
    made.add([Revocation("jti", "a", EXP), Revocation("kid", "b", EXP)], SECOND)
    assert len(made) == 3
    assert len(list(made)) == 4
    assert set(made.signers) == {FIRST, SECOND}
