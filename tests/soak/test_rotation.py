"""Rotations that cross each other, again and again."""

from __future__ import annotations

from tests.integration.rotating import check_one_makes_a_successor


async def test_f18_t36_of_twenty_that_rotate_at_once_one_makes_a_successor_a_hundred_times(
    database_url, settings, started, connection
):
    await check_one_makes_a_successor(database_url, settings, started, connection, rounds=100)
