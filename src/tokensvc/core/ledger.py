"""What the ledger asks Postgres, and how the admissions are handed out.

    requests, in order of arrival
        ->  build_question, count_questions  ->  questions, and how often each is asked
        ->  Postgres (`judge_exchanges_2`)   ->  a verdict on each, and how many each key may get
        ->  hand_out                         ->  a decision on each request

Postgres decides how many requests of a key are admitted; here is decided which.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.api_key import ApiKey
from tokensvc.core.capability import list_given_unasked
from tokensvc.core.exchange import wait_for_clear_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from tokensvc.core.audience import Audience
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.exchange import ExchangeRequest, SubjectToken, Verdict


class Question(NamedTuple):
    """What Postgres must know of a request to judge it. Equal questions are judged as one.

    `digest`: of the API key; None for a token that is to be narrowed. `key_id`: beside a digest,
    the id that the client claims; else that of the key behind the token. `demand`: JSON of what
    only few requests say. `counts` False: the request takes no admission. It is only to be judged,
    or it will be refused here whatever Postgres says, but its credential is judged first.
    """

    digest: bytes | None
    key_id: str | None
    demand: str | None
    counts: bool


class Facts(NamedTuple):
    """What a key is judged by that may not be used for everything and from everywhere.

    `audience`: the name of the audience that a token is for. `address`: that of the client, None if
    it is not known.
    """

    audience: str
    address: str | None


class Expectation(NamedTuple):
    """What the database must be for a batch to be judged.

    `at`: what its clock should say, None if that does not matter. `seen`: a position of the
    denylist that this process has seen; None if it has seen none.
    """

    at: datetime | None
    seen: Position | None


class Decision(NamedTuple):
    """The verdict on a request, and whether it was admitted.

    `unspent`: how many admissions its batch had left for that key after it.
    """

    verdict: Verdict
    admitted: bool
    unspent: int = 0


def build_question(
    request: ExchangeRequest,
    credential: ApiKey | SubjectToken,
    audience: Audience | None,
    facts: Facts | None = None,
) -> Question:
    """Return the question of a request.

    `credential` is that of the request, after a subject token was verified. `audience` is None if
    the request names one that does not exist. `facts` is None for an API key that is not known to
    be restricted: then all its requests are alike.
    """
    scope = None if request.scope is None else " ".join(sorted(request.scope))
    if isinstance(credential, ApiKey):
        demand = None if scope is None and facts is None else _write_demand(scope, facts)
        return Question(credential.digest, request.client_id, demand, audience is not None)
    claims, kid = credential
    asked = list_given_unasked(claims.scope) if request.scope is None else request.scope
    subject: dict[str, object] = {
        "account_id": claims.sub,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "kid": kid,
        # The key must still have at least one of these, or the token would be empty. Without a
        # scope those for the service do not count, because they are not given then.
        "held": " ".join(asked if request.scope is None and asked else claims.scope),
        "scope": scope,
        **({} if facts is None else facts._asdict()),
    }
    if request.client is not None:
        subject["client"] = request.client.digest.hex()
        subject["client_says_id"] = request.client_id
    if audience is not None and audience.name != claims.aud:
        subject["other_audience"] = True
    # A scope beyond that of the token, and an empty one, are refused later, in `decide_claims`.
    within = bool(asked) and set(asked).issubset(claims.scope)
    counts = audience is not None and within
    return Question(None, claims.client_id, json.dumps(subject), counts)


@functools.lru_cache(maxsize=4096)  # a restricted key asks for the same from the same place
def _write_demand(scope: str | None, facts: Facts | None) -> str:
    wanted = {} if facts is None else facts._asdict()
    return json.dumps(wanted if scope is None else wanted | {"scope": scope})


def build_caller_question(
    key: ApiKey, client_id: str | None, capability: str | None, address: str | None
) -> Question:
    """Return the question of a call by an API key, which gets no token.

    `client_id` is the id that the caller says it has, `address` where it is. The key must have
    `capability`, if one is named.
    """
    # An empty scope stands for "no capability in particular": without the member, Postgres would
    # refuse keys that hold only capabilities for the service, as `unnamed_scope`.
    demand = {"scope": capability or "", "address": address}
    return Question(key.digest, client_id, json.dumps(demand), counts=False)


def count_questions(questions: Iterable[Question]) -> dict[Question, int]:
    """Return how often each question is asked, in order of first arrival."""
    counts: dict[Question, int] = {}
    for question in questions:
        counts[question] = counts.get(question, 0) + 1
    return counts


def hand_out(
    asked: Sequence[Question], verdicts: Mapping[Question, Verdict], admitted: Mapping[str, int]
) -> list[Decision | None]:
    """Return the decision on each request, in the same order; None if there is no such key.

    `asked`: the question of each request, in order of arrival. `admitted`: how many admissions each
    key has. The first requests of a key get them, whatever their questions are. A request that is
    refused for another reason takes none.
    """
    left = dict(admitted)
    decisions: list[Decision | None] = []
    for question in asked:
        verdict = verdicts.get(question)
        if verdict is None:
            decisions.append(None)
            continue
        # By this same rule Postgres counts how many requests ask for an admission.
        may_be_admitted = (
            question.counts and verdict.refusal is None and wait_for_clear_second(verdict) is None
        )
        # A request that takes no admission is handed out as one for which none is left.
        unspent = left[verdict.key_id] - 1 if may_be_admitted else -1
        if unspent < 0:
            decisions.append(Decision(verdict, admitted=False))
        else:
            left[verdict.key_id] = unspent
            decisions.append(Decision(verdict, True, unspent))
    return decisions
