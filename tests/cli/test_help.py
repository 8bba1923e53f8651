from __future__ import annotations

import re

import click
import pytest

from tokensvc.cli.exit_codes import ExitCode, find_exit_code
from tokensvc.cli.root import COMMANDS, root
from tokensvc.core import errors


def list_commands():
    """Return the line of every command and of every group, without `tokensvc`."""
    lines = [""]
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        lines += [name, *(f"{name} {verb}" for verb in getattr(command, "commands", {}))]
    return lines


@pytest.mark.parametrize("line", list_commands(), ids=lambda line: line or "tokensvc")
def test_every_command_explains_itself_without_a_database_in_80_columns(line, offline_cli):
    shown = offline_cli(f"{line} --help").stdout
    assert shown.startswith(f"Usage: tokensvc {line}".rstrip())
    assert [text for text in shown.splitlines() if len(text) > 80] == []
    assert offline_cli(f"{line} -h").stdout == shown
    _, _, summaries = shown.partition("\nCommands:\n")
    assert "..." not in summaries, "a summary is cut off"


def test_the_program_lists_its_commands_its_exit_codes_and_its_version(offline_cli):
    shown = offline_cli("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []
    said = " ".join(shown.split())
    codes = [int(code) for code in re.findall(r"(\d) [a-z]", said.partition("Exit codes: ")[2])]
    assert codes == sorted([0, 2, *ExitCode])
    assert offline_cli("--version").stdout.startswith("tokensvc, version ")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "keys list",
        "account nonsense",
        "account create",
        "account list -o yaml",
        "account list --nonsense",
        "key create --name x",
        "key create --account x --name x --expires-in soon",
        "key create --account x --name x --expires-in 90",
        "key rotate x --grace never",
        "audience create x --token-ttl 1y",
        "audit list --most 0",
        "token get --expires-in never",
        "serve --workers 0",
        "tier create x --per-minute 0 --per-day 1",
        "tier create x --per-minute 1",
        "key update x --per-minute many",
        "key update x --per-day 0",
        "key usage x --since yesterday",
        "key list --metadata team",
        "key list --created-before yesterday",
        "key batch revoke",
        "key batch revoke key_0000000000000000 --name y",
        "key batch update key_0000000000000000",
        "key update key_0000000000000000 --any-network --network 192.0.2.0/24",
        "--url https://x --profile y key list",
        "--url https://x --host key list",
        "profile add x",
        "profile use",
    ],
)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(line, offline_cli):
    result = offline_cli(line, code=2)
    assert "Usage: tokensvc" in result.stderr
    assert result.stdout == ""


def test_mistyped_nouns_and_verbs_are_answered_with_what_was_meant(offline_cli):
    for line, meant in (("keys list", "'key'"), ("key revok", "'revoke'")):
        assert f"Did you mean {meant}" in offline_cli(line, code=2).stderr
    for word in ("help", "version"):
        assert f"'--{word}'" in offline_cli(word, code=2).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell, offline_cli):
    assert "_TOKENSVC_COMPLETE" in offline_cli(f"completion {shell}").stdout
    asked = {"_TOKENSVC_COMPLETE": f"{shell}_complete", "COMP_CWORD": "1"}
    typed = {"bash": "tokensvc sig", "zsh": "tokensvc sig", "fish": "tokensvc"}[shell]
    more = {"fish": "sig"}.get(shell, "1")
    shown = offline_cli("", **asked | {"COMP_WORDS": typed, "COMP_CWORD": more}).stdout
    assert "signing-key" in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFoundError("x"), 3),
        (errors.InvalidClientError("unknown_key"), 4),
        (errors.InvalidInputError("x"), 5),
        (errors.ConflictError("x"), 5),
        (errors.InvalidScopeError("x"), 5),
        (errors.InvalidTokenError("expired"), 5),
        (errors.UnavailableError("x"), 6),
        (errors.OutcomeUnknownError("x"), 6),
        (errors.ForbiddenError("x"), 5),
        (errors.VersionConflictError(), 5),
        (errors.RateLimitedError("x", policy="p", limit=1, window=60, retry_after=1), 6),
        (errors.VerifierUnavailableError("no_keys"), 6),
        (errors.StartRefusedError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_has_an_exit_code_by_its_kind(error, code):
    assert find_exit_code(error) == code


def test_no_option_takes_a_secret(subtests):
    """`denylist add --key` takes a name or the public id of a key, and refuses a key."""
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        for verb in getattr(command, "commands", {"": command}).values():
            with subtests.test(msg=f"{name} {verb.name}"):
                options = {
                    option
                    for parameter in verb.params
                    if not getattr(parameter, "is_flag", False)
                    for option in parameter.opts
                }
                secret = re.compile(r"secret|password|token$|key$")
                assert [o for o in options - {"--key"} if secret.search(o)] == []
