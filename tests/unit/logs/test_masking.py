"""Nothing that looks like a secret reaches the log, whoever writes it."""

from __future__ import annotations

import logging

import pytest
import structlog

from tokensvc.logs.masking import mask_secrets

SECRETS = {
    "a key": "tsk-0123456789abcdefghijABCDEFGHIJ12",
    "a key of another prefix": "acme-123456789abcdefghijABCDEFGHIJ12",
    "a token": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "a token without its signature": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0",
    "a password in a URL": "user:secret@",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_log_line_is_masked(name, logs, capsys):
    secret = SECRETS[name]
    text = (
        f"postgresql://{secret}host/db" if secret.endswith("@") else f"got '{secret}' from somebody"
    )
    assert secret.rstrip("@") not in mask_secrets(text)
    assert mask_secrets(text) != text
    log = structlog.get_logger("test")

    def fail():
        raise ValueError(text)

    log.info(text, value=text, values=[text, {"deep": (text, 1)}], number=1)
    logging.getLogger("library").warning("said %s", text)
    try:
        fail()
    except ValueError:
        log.exception("failed")
    assert len(logs.lines) == 3
    assert secret.rstrip("@") not in logs.stream.getvalue()
    assert capsys.readouterr().out == ""


def test_a_key_behind_the_beginning_of_a_token_is_masked():
    assert mask_secrets(f"eyJ-{SECRETS['a key']}") == "eyJ-[masked]"


def test_t53_a_long_text_that_looks_like_many_tokens_is_looked_through_once():
    text = "eyJ" * 300_000  # from each of them anew, it would take half an hour
    assert mask_secrets(text) == text
    assert mask_secrets(f"{text}.eyJ") == "[masked]"


@pytest.mark.parametrize("text", ["key_0123456789abcdef", "a-b", "eyJ", "https://host/path"])
def test_what_is_no_secret_stays_as_it_is(text):
    assert mask_secrets(text) == text
