"""Looking at clusters of Postgres that a test has started."""

from __future__ import annotations

from pathlib import Path

from tokensvc.store.primary import connect

FAST = ("fsync=off",)


async def ask(url, statement="select 42"):
    connection = await connect(url)
    answer = await connection.fetchval(statement)
    await connection.close()
    return answer


def is_running(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
