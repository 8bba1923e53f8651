"""Who a service is: a start that says something else is told, or refused."""

from __future__ import annotations

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.core.service_identity import Identity, decide_identity

A, B = "https://a.example", "https://b.example"


def of(issuer, prefix="tsk-"):
    return Identity(issuer, prefix)


@pytest.mark.parametrize(
    ("kept", "ours", "then"),
    [
        (None, of(A), of(A)),
        (None, of(None), of(None)),
        (of(None), of(A), of(A)),
        (of(A), of(A), of(A)),
    ],
)
def test_what_a_first_start_says_is_kept(kept, ours, then):
    assert decide_identity(kept, ours, former="") == (then, ())


def test_a_trial_on_the_database_of_a_service_is_warned_and_changes_nothing():
    choice = decide_identity(of(A), of(None), former="")
    assert choice.kept == of(A)
    assert "belongs to https://a.example" in choice.warnings[0]


def test_another_issuer_is_refused_unless_the_operator_names_the_former_one():
    for former in ("", B, "https://c.example"):
        with pytest.raises(StartRefusedError, match="TOKENSVC_FORMER_ISSUER must be https://a"):
            decide_identity(of(A), of(B), former=former)
    choice = decide_identity(of(A), of(B), former=A)
    assert choice.kept == of(B)
    assert choice.warnings == (f"the issuer was {A}, and is {B} from now on",)


def test_another_prefix_is_warned():
    choice = decide_identity(of(A), of(A, "acme-"), former="")
    assert choice.kept == of(A, "acme-")
    assert "begin with acme- here, and began with tsk-" in choice.warnings[0]
