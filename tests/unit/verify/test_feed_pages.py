"""What a network can send in place of a denylist page: the last good denylist is kept, and ages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from tests.factories import make_claims, make_revocation_record, make_signing_key
from tests.simulator import START, SimulatedIssuer, reason_of, simulated, unsigned_part

from tokensvc.core.claims import build_payload
from tokensvc.core.denylist.page import build_page_payload
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.jwks import build_jwks
from tokensvc.core.token import DENYLIST_PAGE
from tokensvc.verify import InvalidPageError, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable


def changed(**changes: Any) -> Callable[[SimulatedIssuer], str]:
    """Return a page that the issuer has signed after these changes in its JSON."""

    def lie(issuer: SimulatedIssuer) -> str:
        payload = build_page_payload(issuer.build_page(issuer.log.head)) | changes
        return issuer.sign_page(
            {name: value for name, value in payload.items() if value is not ...}
        )

    return lie


def by_stranger(issuer: SimulatedIssuer) -> str:
    return issuer.sign_page(issuer.build_page(issuer.log.head), key=make_signing_key()[0])


def by_stranger_under_our_kid(issuer: SimulatedIssuer) -> str:
    signed = issuer.sign_page(issuer.build_page(issuer.log.head), key=make_signing_key()[0])
    header = {"typ": DENYLIST_PAGE[0], "alg": "ES256", "kid": issuer.signer.kid}
    return f"{unsigned_part(header)}.{signed.partition('.')[2]}"


def replayed(issuer: SimulatedIssuer) -> str:
    return issuer.sign_page(
        replace(issuer.build_page(None), issued_at=int(issuer.now()) - 8, revocations=())
    )


def gapped(issuer: SimulatedIssuer) -> str:
    page = build_page_payload(issuer.build_page(issuer.log.head))
    return issuer.sign_page(page | {"after": "8-x", "cursor": "9-y", "head": "9-y"})


def truncated(issuer: SimulatedIssuer) -> str:
    return issuer.sign_page(issuer.build_page(issuer.log.head))[:-7]


def the_jwks(issuer: SimulatedIssuer) -> str:
    return build_jwks(issuer.published).decode()


def unsigned(issuer: SimulatedIssuer) -> str:
    header = {"typ": DENYLIST_PAGE[0], "alg": "none", "kid": issuer.signer.kid}
    return (
        f"{unsigned_part(header)}.{unsigned_part(build_page_payload(issuer.build_page(None)))}.AAAA"
    )


def a_token(issuer: SimulatedIssuer) -> str:
    return issuer.issue()[0]


def token_under_our_typ(issuer: SimulatedIssuer) -> str:
    return issuer.sign(build_payload(make_claims()), typ=DENYLIST_PAGE[0])


def signed_bytes(issuer: SimulatedIssuer, body: bytes) -> str:
    header = {"typ": DENYLIST_PAGE[0], "kid": issuer.signer.kid}
    return jwt.PyJWS().encode(body, issuer.signer.private_key, algorithm="ES256", headers=header)


LIES: dict[str, tuple[Callable[[SimulatedIssuer], str], str, bool]] = {
    "nothing": (lambda _: "", "malformed_token", False),
    "a web page": (lambda _: "<html>sign in</html>", "malformed_token", False),
    "not ASCII": (lambda _: "\ufffd" * 10, "malformed_token", False),
    "truncated": (truncated, "bad_signature", False),
    "the JWKS": (the_jwks, "malformed_token", False),
    "a token": (a_token, "wrong_type", False),
    "a token's claims under the type of a page": (token_under_our_typ, "malformed_page", True),
    "unsigned": (unsigned, "algorithm_not_allowed", False),
    "signed by a stranger": (by_stranger, "unknown_kid", False),
    "signed by a stranger under our kid": (by_stranger_under_our_kid, "bad_signature", False),
    "payload is a list": (lambda i: signed_bytes(i, b"[]"), "malformed_token", False),
    "replayed": (replayed, "page_replayed", False),
    "gapped": (gapped, "page_not_contiguous", True),
    "expired": (changed(iat=START - 100, exp=START - 40), "page_out_of_date", True),
    "from the future": (changed(iat=START + 33, exp=START + 93), "page_ahead", False),
    "of another issuer": (changed(iss="http://other.example"), "wrong_issuer", True),
    "for the audience of tokens": (changed(aud="api"), "malformed_page", True),
    "for no audience": (changed(aud=...), "malformed_page", True),
    "without a head": (changed(head=...), "malformed_page", True),
    "without entries": (changed(entries=...), "malformed_page", True),
    "with a malformed entry": (
        changed(entries=[{"jti": "j", "exp": "soon"}]),
        "malformed_page",
        True,
    ),
    "of an unreal time": (changed(iat=10**400), "malformed_page", True),
    "of an unreal end": (changed(exp=10**400), "malformed_page", True),
}


@pytest.mark.parametrize(("lie", "reason", "asks_for_all"), LIES.values(), ids=LIES)
@simulated
async def test_f32_t12_a_lie_changes_nothing_and_the_next_good_page_is_applied(
    lie, reason, asks_for_all
):
    issuer = SimulatedIssuer(waits=False)  # so it is polled every second
    issuer.add_revocation("jti", "known")
    async with issuer.make_verifier() as verifier:
        before = verifier.status()
        assert before.denylist_cursor == str(issuer.log.head)
        assert (before.denylist_entries, before.denylist_error) == (1, None)

        await asyncio.sleep(0.5)
        text = lie(issuer)
        issuer.page_lie = lambda _after: text
        await asyncio.sleep(1)
        after = verifier.status()
        assert after.denylist_error == reason
        assert (after.denylist_cursor, after.denylist_entries) == (before.denylist_cursor, 1)
        assert after.denylist_age == before.denylist_age + 1.5

        issuer.page_lie = None
        issuer.add_revocation("jti", "news")
        asked = len(issuer.pages_asked)
        await asyncio.sleep(2)
        assert issuer.pages_asked[asked] == (None if asks_for_all else before.denylist_cursor)
        healed = verifier.status()
        assert healed.denylist_cursor == str(issuer.log.head)
        assert (healed.denylist_entries, healed.denylist_error) == (2, None)
        assert healed.denylist_age <= 2


def ready_verifier(issuer: SimulatedIssuer, **options: Any) -> Verifier:
    """Return a verifier that has the keys and the denylist, and does not follow by itself."""
    verifier = issuer.make_verifier(**options)
    verifier.take(jwks=issuer.answer_jwks(), page=issuer.page())
    return verifier


class LateIssuer(SimulatedIssuer):
    """Its clock is `late` by some seconds."""

    late = 0

    def build_page(self, after):
        page = super().build_page(after)
        return replace(
            page, issued_at=page.issued_at - self.late, expires_at=page.expires_at - self.late
        )


@simulated
async def test_f41_news_holds_although_the_clock_of_the_issuer_is_ahead():
    issuer = LateIssuer(waits=False)
    async with issuer.make_verifier() as verifier:
        issuer.late = -3600
        issuer.add_revocation("jti", "news")
        await asyncio.sleep(3)
        assert verifier.status().denylist_error == "page_ahead"
        assert verifier.status().denylist_entries == 1
        cursor = verifier.status().denylist_cursor
        issuer.late = 0
        await asyncio.sleep(3)
        assert verifier.status().denylist_error is None
        assert verifier.status().denylist_cursor != cursor


@simulated
async def test_f41_news_is_applied_although_the_clock_of_the_issuer_has_stepped_back():
    issuer = LateIssuer(waits=False)  # so it is polled every second
    async with issuer.make_verifier() as verifier:
        issuer.late = 20
        await asyncio.sleep(3)
        assert verifier.status().denylist_error == "page_replayed"
        token, claims = issuer.issue()
        issuer.add_revocation("jti", claims.jti)
        await asyncio.sleep(5)
        assert reason_of(verifier, token) == "revoked_jti"


@simulated
async def test_f41_a_failover_to_a_host_that_is_behind_delays_no_revocation():
    issuer = LateIssuer(waits=False)  # so it is polled every second
    for name in ("kept", "lost", "lost too"):
        issuer.add_revocation("jti", name)
    async with issuer.make_verifier() as verifier:
        token, claims = issuer.issue()
        issuer.fail_over(2)
        issuer.late = 10
        issuer.add_revocation("jti", claims.jti)
        await asyncio.sleep(3)
        assert reason_of(verifier, token) == "revoked_jti"
        assert verifier.status().denylist_resets == 0
        await asyncio.sleep(10)
        assert verifier.status().denylist_resets == 1
        assert verifier.status().denylist_cursor == str(issuer.log.head)


@simulated
async def test_a_page_signed_by_a_revoked_key_is_refused_even_if_the_key_is_published():
    issuer = SimulatedIssuer()
    stolen = issuer.signer
    issuer.rotate()
    issuer.add_revocation("kid", stolen.kid)
    verifier = ready_verifier(issuer)
    for _ in range(2):
        with pytest.raises(InvalidPageError) as refusal:
            verifier.take(page=issuer.sign_page(issuer.build_page(None), key=stolen))
        assert refusal.value.reason == "page_signed_by_denied_key"


@simulated
async def test_a_page_may_be_signed_with_any_of_our_algorithms():
    issuer = SimulatedIssuer()
    issuer.rotate("EdDSA")
    assert ready_verifier(issuer).status().ready


@simulated
async def test_after_a_failover_known_revocations_are_kept_and_the_reset_is_reported(caplog):
    issuer = SimulatedIssuer()
    verifier = ready_verifier(issuer)
    _, kept = issuer.issue()
    lost_token, lost = issuer.issue()
    issuer.add_revocation("jti", kept.jti)
    issuer.add_revocation("jti", lost.jti)
    verifier.take(page=issuer.page(verifier.status().denylist_cursor))

    issuer.fail_over(1)
    new_token, new = issuer.issue()
    issuer.add_revocation("jti", new.jti)  # with the number of the one that was lost
    await asyncio.sleep(1)
    verifier.take(page=issuer.page(verifier.status().denylist_cursor))
    status = verifier.status()
    assert status.denylist_cursor == str(issuer.log.head)
    assert (status.denylist_resets, status.denylist_entries) == (1, 3)
    assert "the issuer's denylist went back" in caplog.text
    assert [reason_of(verifier, token) for token in (lost_token, new_token)] == ["revoked_jti"] * 2


@simulated
async def test_an_old_page_proves_only_how_fresh_the_denylist_was_when_it_was_issued():
    issuer = SimulatedIssuer()
    verifier = ready_verifier(issuer, leeway=5)
    old = issuer.page()
    await asyncio.sleep(50)
    verifier.take(page=old)
    assert verifier.status().denylist_age == 45


# --- a long denylist -----------------------------------------------------------------------------


def add_many(issuer: SimulatedIssuer, count: int) -> None:
    first = 1 if issuer.log.head is None else issuer.log.head.seq + 1
    records = [
        make_revocation_record(
            Revocation("jti", f"jti{number:017}", START + 720), Position(number, f"t{number}")
        )
        for number in range(first, first + count)
    ]
    issuer.log.append(records, records[-1].position)
    issuer.wake()


@simulated
async def test_f33_a_long_denylist_is_read_page_by_page_before_the_verifier_is_ready():
    issuer = SimulatedIssuer()
    add_many(issuer, 12_000)
    async with issuer.make_verifier() as verifier:
        status = verifier.status()
        assert (status.ready, status.denylist_entries) == (True, 12_000)
        assert issuer.pages_asked[:3] == [None, "5000-t5000", "10000-t10000"]


@simulated
async def test_f33_a_verifier_that_has_read_only_a_part_is_not_ready():
    issuer = SimulatedIssuer()
    add_many(issuer, 12_000)
    verifier = ready_verifier(issuer, when_stale="accept")
    token, _ = issuer.issue()
    assert reason_of(verifier, token) == "no_denylist"
    assert verifier.status().denylist_age == float("inf")
    verifier.take(page=issuer.page("5000-t5000"))
    assert reason_of(verifier, token) == "no_denylist"
    verifier.take(page=issuer.page("10000-t10000"))
    assert reason_of(verifier, token) is None
    assert verifier.status().denylist_age == 0


@simulated
async def test_f33_a_failure_in_the_middle_of_a_row_does_not_make_it_whole():
    issuer = SimulatedIssuer()
    add_many(issuer, 12_000)

    def break_off(after: str | None) -> str:
        if after is not None:
            issuer.down = True
        return issuer.page(after)

    issuer.page_lie = break_off
    async with issuer.make_verifier(http_timeout=5) as verifier:
        assert reason_of(verifier, issuer.issue()[0]) == "no_denylist"
        issuer.down, issuer.page_lie = False, None
        await asyncio.sleep(5)
        assert (verifier.status().ready, verifier.status().denylist_entries) == (True, 12_000)


@simulated
async def test_f33_a_newcomer_starts_over_when_the_history_changes_under_it():
    issuer = SimulatedIssuer()
    add_many(issuer, 12_000)

    def change(after: str | None) -> str:
        if after == "10000-t10000":
            issuer.page_lie = None
            issuer.fail_over(4000)
            add_many(issuer, 3000)
        return issuer.page(after)

    issuer.page_lie = change
    async with issuer.make_verifier() as verifier:
        assert verifier.status().ready
        assert verifier.status().denylist_cursor == str(issuer.log.head) == "7000-t7000"


@simulated
async def test_f33_a_burst_of_news_is_read_at_once_and_counts_as_fresh_at_its_end():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(10)
        add_many(issuer, 12_000)
        await asyncio.sleep(0.5)
        status = verifier.status()
        assert (status.denylist_entries, status.denylist_cursor) == (12_000, "12000-t12000")
        assert status.denylist_age <= 0.5


@simulated
async def test_f33_the_loop_of_the_application_goes_on_while_a_page_is_applied():
    issuer = SimulatedIssuer()
    turns, most = 0, 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with issuer.make_verifier() as verifier:
        add_many(issuer, 5000)
        counting = asyncio.create_task(count_turns())
        while verifier.status().denylist_entries < 5000:
            before = verifier.status().denylist_entries
            await asyncio.sleep(0)
            most = max(most, verifier.status().denylist_entries - before)
        counting.cancel()
        assert most <= 1000
        assert turns > 12


# --- a stolen signing key ------------------------------------------------------------------------


@simulated
async def test_t41_a_verifier_recovers_from_the_pages_of_a_stolen_key_without_a_restart():
    issuer = SimulatedIssuer(waits=False)
    stolen = issuer.signer
    _, revoked = issuer.issue()
    issuer.add_revocation("jti", revoked.jti)
    good = issuer.rotate()
    async with issuer.make_verifier() as verifier:
        evil = build_page_payload(issuer.build_page(None)) | {
            "cursor": "99-e",
            "head": "99-e",
            "iat": START + 29,
            "exp": START + 89,
            "entries": [
                {"kid": good.kid, "exp": 2**53 - 1},
                {"account": make_claims().sub, "exp": 2**53 - 1, "upto": 2**53 - 1},
            ],
        }
        issuer.page_lie = lambda _after: issuer.sign_page(evil, key=stolen)
        await asyncio.sleep(3)
        issuer.page_lie = None
        assert reason_of(verifier, issuer.issue()[0]) == "revoked_kid"

        issuer.withdraw(stolen.kid)
        issuer.add_revocation("kid", stolen.kid)
        await asyncio.sleep(58)
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        assert verifier.status().denylist_entries == 2, "the jti and the stolen kid"
        with_stolen = issuer.sign(build_payload(make_claims()), key=stolen)
        assert reason_of(verifier, with_stolen) in {"revoked_kid", "unknown_kid"}


@simulated
async def test_t41_a_revoked_key_that_revokes_its_judge_is_not_believed_while_the_judge_stands():
    issuer = SimulatedIssuer(waits=False)
    stolen = issuer.signer
    good = issuer.rotate()
    issuer.add_revocation("kid", stolen.kid)
    async with issuer.make_verifier() as verifier:
        evil = build_page_payload(issuer.build_page(issuer.log.head)) | {
            "entries": [{"kid": good.kid, "exp": START + 720}],
        }
        text = issuer.sign_page(evil, key=stolen)
        with pytest.raises(InvalidPageError):
            verifier.take(page=text)
        assert reason_of(verifier, issuer.issue()[0]) is None
