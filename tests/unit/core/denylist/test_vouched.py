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


def test_a_denylist_is_counted_while_it_grows():
    made = VouchedDenylist()
    made.add([Revocation("jti", "a", EXP)], FIRST)
    made.add([Revocation("jti", f"b{n}", EXP) for n in range(300)], SECOND)
    seen = 0
    for seen, _ in enumerate(made, 1):
        made.add([Revocation("jti", f"c{seen}-{n}", EXP) for n in range(3)], SECOND)
    assert seen >= 301
    assert len(made) == len(set(made))
