"""What the ledger is asked, and how its admissions are handed out. Postgres decides how many (`judge_exchanges`); the order is ours.

requests, in order of arrival  ->  questions (requests that are alike, with their number)  ->  Postgres  ->  a verdict per question
hand_out  ->  a decision per request
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.api_key import ApiKey
from tokensvc.core.exchange import wait_for_clear_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tokensvc.core.audience import Audience
    from tokensvc.core.exchange import ExchangeRequest, SubjectToken, Verdict


class Question(NamedTuple):
    """What Postgres must know of a request to judge it: requests with equal questions are judged as one.

    `digest` of an API key, or None and the `key_id` behind a token that is to be narrowed; beside a digest `key_id` is what the client
    claims. `demand`: JSON of what few requests ask for. `counts` False: it is to be judged alone, or will be refused whatever Postgres
    says, but not before.
    """

    digest: bytes | None
    key_id: str | None
    demand: str | None
    counts: bool


class Decision(NamedTuple):
    """The verdict on a request, whether it was admitted, and how many admissions its batch still had for that key after it."""

    verdict: Verdict
    admitted: bool
    unspent: int = 0


def build_question(
    request: ExchangeRequest, credential: ApiKey | SubjectToken, audience: Audience | None
) -> Question:
    """Return the question of a request.

    `credential` is that of the request, after a subject token was verified. `audience` is None if
    the request names one that does not exist.
    """
    scope = None if request.scope is None else " ".join(sorted(request.scope))
    if isinstance(credential, ApiKey):
        demand = None if scope is None else json.dumps({"scope": scope})
        return Question(credential.digest, request.client_id, demand, audience is not None)
    claims, kid = credential
    subject = {
        "account_id": claims.sub,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "kid": kid,
        "held": " ".join(claims.scope),
        "scope": scope,
    }
    within = request.scope is None or request.scope.issubset(claims.scope)
    return Question(None, claims.client_id, json.dumps(subject), audience is not None and within)


def count_questions(questions: Iterable[Question]) -> dict[Question, int]:
    """Return how often each question is asked, in order of first arrival."""
    counts: dict[Question, int] = {}
    for question in questions:
        counts[question] = counts.get(question, 0) + 1
    return counts


def hand_out(
    asked: Sequence[Question], verdicts: Mapping[Question, Verdict], admitted: Mapping[str, int]
) -> list[Decision | None]:
    """Return the decision on each request, in the order in which they were asked; None: there is no such key.

    `admitted`: how many each key may get. They go to the first that ask, whatever question they belong to; requests that are refused for
    another reason take none.
    """
    left = dict(admitted)
    decisions: list[Decision | None] = []
    for question in asked:
        verdict = verdicts.get(question)
        if verdict is None:
            decisions.append(None)
        elif (
            not question.counts
            or verdict.refusal is not None
            or wait_for_clear_second(verdict) is not None
        ):
            decisions.append(Decision(verdict, admitted=False))
        else:
            unspent = left[verdict.key_id] - 1
            if unspent >= 0:
                left[verdict.key_id] = unspent
            decisions.append(Decision(verdict, unspent >= 0, max(unspent, 0)))
    return decisions
