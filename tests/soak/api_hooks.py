"""What schemathesis must know of the service: whose key it calls with, and which account exists."""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

OWN = json.loads(os.environ.get("FUZZ_OWN", "{}"))  # key, account and a prepared account
_NOBODY = {"key": "key_0000000000000000", "account": "acct_0000000000000000"}
# What each act needs besides what the document says, so that some requests get far.
_ACCOUNT_OF_BODY = {"keys.create"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Keep the fuzzer from ending its own key, and let it make keys of an account that exists."""
    del context, kwargs
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict):
            _spare(place)
    name = case.operation.definition.raw.get("operationId")
    if name in _ACCOUNT_OF_BODY and isinstance(case.body, dict):
        if case.body.get("account") == _NOBODY["account"] or _is_id(case.body.get("account")):
            case.body["account"] = OWN["prepared"]
        if _has_names(case.body.get("capabilities")):
            case.body["capabilities"] = ["orders:read"]
        case.body.pop("tier", None)


def _spare(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        for kind, nobody in _NOBODY.items():
            if value == OWN[kind]:
                fields[name] = nobody
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    _spare(item)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.startswith("acct_") and len(value) == 21


def _has_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
