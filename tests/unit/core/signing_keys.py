"""Signing keys for the tests of keyring and rotation. Their times are distances from NOW."""

from __future__ import annotations

from datetime import timedelta

from tests.factories import NOW, make_rotation_policy, make_signing_key_record

POLICY = make_rotation_policy()  # lead 690 s, retirement 720 s, period 30 days
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def key(kid, *, made=-100 * DAY, active=None, revoked=None, alg="ES256"):
    return make_signing_key_record(
        kid,
        alg=alg,
        created_at=NOW + made,
        active_at=None if active is None else NOW + active,
        revoked_at=None if revoked is None else NOW + revoked,
    )
