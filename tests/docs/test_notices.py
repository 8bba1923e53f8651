"""docs/notices.md: its table is that of the events, and its receiver takes what we send."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer
from tests.factories import NOW

from tokensvc.core.notices.destination import parse_networks
from tokensvc.core.notices.event import EVENT_NAMES, Notice
from tokensvc.core.notices.payload import new_secret
from tokensvc.issuer.notices.resolving import Resolver
from tokensvc.issuer.notices.webhook import WebhookSender

PAGE = (Path(__file__).parent.parent.parent / "docs" / "notices.md").read_text()


def test_the_table_of_events_is_that_of_the_code():
    table = PAGE[PAGE.index("## Events") : PAGE.index("## A receiver")]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`([a-z_0-9.]+)`", row)]
    assert sorted(told) == sorted(EVENT_NAMES)


async def test_the_receiver_takes_what_is_signed_and_once(monkeypatch, capsys):
    secret = new_secret()
    monkeypatch.setenv("NOTICE_SECRET", secret)
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(program, "docs/notices.md", "exec"), names)
    server = TestServer(names["app"])
    await server.start_server()
    resolver = Resolver()
    sender = WebhookSender(resolver, allowed=parse_networks("127.0.0.1"))
    notice = Notice(
        number=1,
        id="ntc_1",
        at=NOW,
        name="key.created",
        account_id=None,
        subject="key_1",
        subject_number=1,
        detail={},
    )
    url = f"http://127.0.0.1:{server.port}/tokens"
    now = datetime.now(UTC)  # the receiver refuses what is old
    outcomes = [
        await sender.send(url, [one], notice, now) for one in (secret, secret, new_secret())
    ]
    await sender.close()
    resolver.close()
    await server.close()
    assert [outcome.status for outcome in outcomes] == [204, 204, 401]
    assert capsys.readouterr().out == "key.created key_1 1\n"
