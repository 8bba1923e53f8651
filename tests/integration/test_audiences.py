"""Audiences: added, changed, removed, refused."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from tests.integration.things import ACTOR, list_acts

from tokensvc.core.audience import OWN_AUDIENCES
from tokensvc.core.errors import ConflictError, InvalidInputError, NotFoundError
from tokensvc.issuer.admin import audiences


async def test_audiences_are_added_changed_and_removed(database, settings, started):
    del started
    life = timedelta(minutes=5)
    added = await audiences.create_audience(
        database, settings, "orders", description=" shop ", token_life=life, actor=ACTOR
    )
    assert (added.name, added.description, added.token_life) == ("orders", "shop", life)
    with pytest.raises(ConflictError, match="exists already"):
        await audiences.create_audience(database, settings, "orders", actor=ACTOR)
    same = await audiences.update_audience(
        database, settings, "orders", description=None, token_life=None, actor=ACTOR
    )
    assert same == added
    changed = await audiences.update_audience(
        database, settings, "orders", description="x", token_life=timedelta(), actor=ACTOR
    )
    assert (changed.description, changed.token_life) == ("x", None)
    await audiences.delete_audience(database, settings, "orders", actor=ACTOR)
    with pytest.raises(NotFoundError, match="there is no audience 'orders'"):
        await audiences.delete_audience(database, settings, "orders", actor=ACTOR)
    with pytest.raises(NotFoundError, match="there is no audience 'orders'"):
        await audiences.update_audience(
            database, settings, "orders", description="x", token_life=None, actor=ACTOR
        )
    with pytest.raises(
        ConflictError, match="'api' is the default audience; set TOKENSVC_DEFAULT_AUDIENCE"
    ):
        await audiences.delete_audience(database, settings, "api", actor=ACTOR)
    acts = ["create", "update", "update", "delete"]
    assert await list_acts(database, "orders") == [f"audiences.{act}" for act in acts]


async def test_the_type_of_tokens_is_chosen_but_not_for_the_service_itself(
    database, settings, started
):
    del started
    added = await audiences.create_audience(database, settings, "legacy", typ="JWT", actor=ACTOR)
    change = partial(audiences.update_audience, database, settings, actor=ACTOR)
    same = await change("legacy", description="x", token_life=None)
    changed = await change("legacy", description=None, token_life=None, typ="at+jwt")
    assert (added.typ, same.typ, changed.typ) == ("JWT", "JWT", "at+jwt")
    for name in OWN_AUDIENCES:
        with pytest.raises(InvalidInputError, match="which takes only at"):
            await change(name, description=None, token_life=None, typ="JWT")


async def test_an_audience_that_could_break_a_header_is_refused(database, settings, subtests):
    for name in (
        "",
        "x" * 256,
        "with space",
        'quo"te',
        "back\\slash",
        "ümlaut",
        "new\nline",
    ):
        with (
            subtests.test(msg=name),
            pytest.raises(
                InvalidInputError, match="an audience has 1 to 255 visible ASCII characters"
            ),
        ):
            await audiences.create_audience(database, settings, name, actor=ACTOR)


@pytest.mark.parametrize("seconds", [-1, 0, 3601])
async def test_a_token_life_beyond_the_limit_is_refused(seconds, database, settings):
    with pytest.raises(
        InvalidInputError, match=r"between 1 s and TOKENSVC_MAX_TOKEN_TTL \(3600 s\)"
    ):
        await audiences.create_audience(
            database, settings, "orders", token_life=timedelta(seconds=seconds), actor=ACTOR
        )
