"""Events, pauses, and what is told of the use and the age of keys."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from standardwebhooks import Webhook
from tests.factories import NOW

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.identifier import new_endpoint_id, parse_endpoint_id
from tokensvc.core.notices.event import (
    CONFIRM,
    EVENT_NAMES,
    EVENTS,
    Notice,
    find_event,
    may_accounts_know,
    parse_events,
)
from tokensvc.core.notices.mail_link import LIVES, build_link, is_good, parse_code
from tokensvc.core.notices.payload import (
    build_body,
    build_confirmation,
    build_mail,
    build_subject,
    choose_detail,
    new_secret,
)
from tokensvc.core.notices.retry import PAUSES, decide_hold, decide_pause, is_given_up
from tokensvc.core.notices.watching import (
    decide_expiry,
    decide_limit,
    is_new_network,
    is_unusual,
)
from tokensvc.core.sealing import new_master_key

DAY = timedelta(days=1)


def make_notice(event="key.revoked", /, **detail):
    return Notice(
        number=9,
        id="ntc_1",
        at=NOW,
        name=event,
        account_id="acct_1",
        subject="key_1",
        subject_number=3,
        detail=detail,
    )


def test_every_event_has_its_facts_and_a_sentence_with_its_subject():
    assert set(EVENT_NAMES) < set(EVENTS)
    for name in EVENT_NAMES:
        assert "{subject}" in EVENTS[name].text


@pytest.mark.parametrize(
    ("operation", "event"),
    [
        ("keys.create", "key.created"),
        ("keys.rotate-self", "key.rotated"),
        ("keys.revoke", "key.revoked"),
        ("leaks.report", "key.leaked"),
        ("tokens.revoke", None),
        ("keys.update", None),
        ("signing-keys.revoke", "signing_key.revoked"),
    ],
)
def test_an_act_in_the_audit_trail_is_an_event_or_is_not(operation, event):
    assert find_event(operation) == event


def test_an_endpoint_names_events_once_and_none_stands_for_all():
    assert parse_events(["key.revoked", "key.created", "key.revoked"], of_account=True) == [
        "key.created",
        "key.revoked",
    ]
    assert parse_events([], of_account=True) == []


@pytest.mark.parametrize("name", ["key.nothing", "", "notice.test", "*"])
def test_what_is_no_event_is_refused_with_the_list_of_those_that_are(name):
    with pytest.raises(InvalidInputError, match=r"the events are key\.created, "):
        parse_events([name], of_account=False)


def test_an_account_is_told_of_nothing_that_is_about_the_service():
    of_service = [name for name in EVENT_NAMES if not may_accounts_know(name)]
    assert len(of_service) == 4
    for name in of_service:
        parse_events([name], of_account=False)
        with pytest.raises(InvalidInputError, match="about the service itself"):
            parse_events([name], of_account=True)


def test_a_delivery_is_tried_for_three_days_and_then_given_up():
    total, attempts = timedelta(), 1
    while (pause := decide_pause(attempts, 0.0)) is not None:
        total, attempts = total + pause, attempts + 1
    assert attempts == len(PAUSES) + 1 == 10
    assert 3 * DAY <= total <= 3.2 * DAY
    assert decide_pause(1, 1.0) == 1.1 * PAUSES[0]


def test_an_endpoint_that_fails_is_left_alone_longer_and_longer_but_five_minutes_at_most():
    holds = [decide_hold(failures).total_seconds() for failures in (0, 1, 2, 3, 6, 7, 1000)]
    assert holds == [5, 5, 10, 20, 160, 300, 300]


def test_an_endpoint_is_given_up_after_three_days_of_failures():
    assert not is_given_up(None, NOW)
    assert not is_given_up(NOW - 3 * DAY + timedelta(seconds=1), NOW)
    assert is_given_up(NOW - 3 * DAY, NOW)


@pytest.mark.parametrize(
    ("life", "left", "told"),
    [
        (90, 31, None), (90, 30, 30), (90, 7.1, 30), (90, 7, 7), (90, 1.1, 7), (90, 1, 1),
        (90, 0.01, 1), (90, 0, None), (90, -1, None), (30, 29, None), (31, 29, 30), (7, 6, None),
        (7, 1, 1), (2, 1.5, None), (2, 0.9, 1), (1, 0.9, None), (0.1, 0.05, None),
    ],
)  # fmt: skip
def test_a_key_is_told_of_30_and_7_days_and_a_day_before_its_end(life, left, told):
    expires_at = NOW + left * DAY
    assert decide_expiry(expires_at - life * DAY, expires_at, NOW) == told


@pytest.mark.parametrize(
    ("count", "told"), [(0, None), (79, None), (80, 80), (99, 80), (100, 100), (101, 100)]
)
def test_a_limit_is_told_at_80_and_at_100_percent(count, told):
    assert decide_limit(count, 100) == told


@pytest.mark.parametrize(
    ("count", "most", "days", "unusual"),
    [
        (101, 20, 9, True), (100, 0, 9, False), (101, 0, 9, True), (101, 21, 9, False),
        (500, 100, 9, False), (501, 100, 9, True), (501, 0, 0.5, False), (501, 0, 1, True),
    ],
)  # fmt: skip
def test_use_is_unusual_above_five_times_the_most_of_seven_days_and_above_a_hundred(
    count, most, days, unusual
):
    assert is_unusual(count, most, days * DAY) == unusual


def test_the_first_network_is_no_news_nor_is_one_of_a_key_that_moves_about():
    assert [is_new_network(known) for known in (0, 1, 49, 50)] == [False, True, True, False]


def test_the_body_is_that_of_standard_webhooks_and_its_signature_is_good():
    body = build_body(make_notice(reason="lost \u2713"))
    assert json.loads(body) == {
        "type": "key.revoked",
        "timestamp": NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": {
            "id": "ntc_1",
            "number": 3,
            "subject": "key_1",
            "account": "acct_1",
            "reason": "lost \u2713",
        },
    }
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert Webhook(secret).sign("ntc_1", NOW, body) != Webhook(new_secret()).sign(
        "ntc_1", NOW, body
    )


def test_of_an_act_only_what_receivers_may_know_is_told():
    kept = {"reason": "", "successor": "key_2", "metadata": {"a": 1}, "claims": {}, "name": "x"}
    assert choose_detail(kept) == {"successor": "key_2"}


def test_a_mail_says_what_happened_and_its_subject_is_one_line():
    notices = [make_notice(name="ci\nBcc: x@example.com"), make_notice("key.limit_80", name="b")]
    assert "\n" not in build_subject(notices)
    assert build_subject(notices).endswith("(and 1 more)")
    text = build_mail(notices, "https://tokens.example", "https://tokens.example/end")
    assert "To get no more of these mails, open https://tokens.example/end" in text
    assert "API key 'b' (key_1) has used 80 % of its tokens of today" in text
    assert "key.revoked, number 3 of key_1" in text
    assert build_subject([make_notice("follower.lagging")]).startswith("Follower key_1 has not")
    assert build_subject([make_notice("new.event")]) == "New.event"


def test_the_mail_that_asks_for_confirmation_holds_the_link():
    text = build_confirmation("https://tokens.example", "https://x/y")
    assert "https://x/y" in text
    assert build_subject([make_notice(CONFIRM)]).startswith("Somebody wants notices")


@pytest.mark.parametrize("purpose", LIVES)
def test_a_link_is_good_for_one_mailbox_one_purpose_and_its_time(purpose):
    key, one = new_master_key(), new_endpoint_id()
    assert parse_endpoint_id(one) == one
    link = build_link("https://x", purpose, one, "mailto:a@example.com", NOW, key)
    assert link.startswith(f"https://x/notices/{purpose}?code=")
    text, life = link.partition("=")[2], LIVES[purpose]
    code = parse_code(text)
    assert code is not None
    assert is_good(code, purpose, "mailto:a@example.com", NOW + life, key)
    late = NOW + life + timedelta(seconds=1)
    assert not is_good(code, purpose, "mailto:a@example.com", late, key)
    assert not is_good(code, purpose, "mailto:b@example.com", NOW, key)
    assert not is_good(code, purpose, "mailto:a@example.com", NOW, new_master_key())
    for other_purpose in LIVES.keys() - {purpose}:
        assert not is_good(code, other_purpose, "mailto:a@example.com", NOW, key)
    later = code._replace(expires=code.expires + 1)
    assert not is_good(later, purpose, "mailto:a@example.com", NOW, key)
    other = code._replace(endpoint_id=new_endpoint_id())
    assert not is_good(other, purpose, "mailto:a@example.com", NOW, key)
    assert parse_code(text + "x") is None


def test_an_endpoint_has_an_id_of_its_own_form():
    with pytest.raises(InvalidInputError, match="hook_"):
        parse_endpoint_id("key_0000000000000000")
