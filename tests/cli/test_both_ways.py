"""Every command does the same on the host and over HTTP: output, refusals and exit codes."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokensvc.cli.root import COMMANDS, root

if TYPE_CHECKING:
    from collections.abc import Callable

# Lines that read: both ways print the same.
READING = (
    "account list -o json",
    "account show {account} -o json",
    "account show {account} --field name",
    "key list -o json --account {account}",
    "key list --account {account} --state revoked -o json",
    "key list --account {account} --metadata team=x",
    "key list --limit 1",
    "account show Operators",
    "key show {beginning}",
    "key list --name ci --sort -name --created-before 2999-01-01 --field id",
    "key show {key} -o json",
    "capability list",
    "capability list --with-use --name a -o json",
    "audience list --with-use -o json",
    "tier list --with-use",
    "capability show a -o json",
    "audience list -o json",
    "audience show https://orders.example/x",
    "tier list",
    "tier show default --field key_per_day",
    "denylist list -o json",
    "denylist list --newest-first --kind key --value {revoked}",
    "denylist count -o json",
    "denylist followers",
    "signing-key export {kid}",
    "signing-key export --pem {kid}",
    "audit list --subject {account} -o json",
    "audit list --most 3",
    "audit show -o json",
    "notice show {endpoint} -o json",
    "notice list -o json",
    "notice events --since 2999-01-01",
    "notice deliveries --state waiting -o json",
    "key leaks {key} -o json",
)
# Lines that change something, in their order: both ways print the same fields. The id in an answer
# is known by the name before the line from there on.
CHANGES = (
    ("account", "account create {name}"),
    ("", "tier create {name} --per-minute 7 --per-day 70"),
    ("", "capability create {name}:read"),
    (
        "key",
        (
            "key create --name {name} --capability {name}:read --expires-in 90d "
            "--network 192.0.2.0/24 --audience api --metadata team={name} --claim region=eu "
            "--no-self-rotation --tier {name} --account {account}"
        ),
    ),
    (
        "hook",
        "notice create https://hooks.example/{name} --account {account} --event key.revoked",
    ),
    ("", "notice update {hook} --all-events --description d --disable"),
    ("", "notice update {hook} --enable"),
    ("", "notice rotate-secret {hook} --grace 1h"),
    ("", "account update {account} --tier {name} --per-day 9"),
    ("", "account update {account} --tier inherit --per-day inherit"),
    ("", "account set-contact {account} ''"),
    ("", "key update {key} --any-network --description d --per-minute 3"),
    ("", "key disable {key} --reason lost"),
    ("", "key enable {key}"),
    ("", "key revoke-tokens {key}"),
    ("", "key rotate {key} --grace 1h"),
    ("", "key usage {key}"),
    ("", "key usage {key} {key} -o text"),
    ("", "overview -o json"),
    ("", "account usage {account}"),
    ("", "denylist add --key {key} --reason lost"),
    ("", "key revoke {key} --yes"),
    ("", "key delete {key} --yes"),
    ("", "account suspend {account} --yes"),
    ("", "account resume {account}"),
    ("", "account revoke-tokens {account}"),
    ("", "account delete {account} --yes"),
    ("", "capability update {name}:read --description d"),
    ("", "capability create {name}:gone"),
    ("", "capability delete {name}:gone"),
    ("", "audience create {name} --token-ttl 5m"),
    ("", "audience update {name} --token-ttl default"),
    ("", "audience delete {name}"),
    ("", "tier update {name} --per-day 71"),
    ("", "tier create {name}-gone --per-minute 7 --per-day 70"),
    ("", "tier delete {name}-gone"),
    ("tested", "notice test {hook}"),
    ("", "notice redeliver {tested}"),
    ("", "notice delete {hook} --yes"),
)
# Lines that are refused, with the exit code: both ways say the same.
REFUSED = (
    ("account show {account}", 3),
    ("account show nonsense", 3),
    ("key show {key}", 3),
    ("key revoke --yes {key}", 3),
    ("key create --name x --capability a --account {account}", 3),
    ("key create --name x --account nonsense", 3),
    ("key update --capability 'no good' --network nowhere {key}", 5),
    ("capability delete nothing", 3),
    ("capability show nothing", 3),
    ("audience show nothing", 3),
    ("tier show nothing", 3),
    ("capability create 'no good'", 5),
    ("audience create api", 5),
    ("audience delete api", 5),
    ("tier create default --per-minute 1 --per-day 1", 5),
    ("signing-key rotate --alg RS256 --now", 5),
    ("denylist add --jti x", 5),
    ("notice create ftp://hooks.example/", 5),
    ("notice create https://hooks.example/ --event key.nothing", 5),
    ("notice show hook_0000000000000000", 3),
    ("notice redeliver 1", 3),
    ("notice redeliver x", 5),
    ("denylist watch --after junk", 5),
)
# Lines that end only if they are refused. Another test holds what `denylist watch` prints.
ENDLESS = ("denylist watch --after junk",)
# These call no operation: they are for the machine of the service, or for a client.
OF_ONE_PLACE = {
    "serve", "init", "migrate", "settings", "completion", "master-key rotate", "token get",
    "token verify", "profile add", "profile list", "profile remove", "profile use",
    "audit export", "audit verify", "audit prune", "audit declare-reset",
    # These look at what lies on the machine, or read the whole database.
    "backup", "restore", "doctor",
}  # fmt: skip


class Both:
    """Runs a command on the host and over HTTP, and returns what both have printed."""

    def __init__(self, cli, url):
        self.cli = cli
        self.url = url

    def __call__(self, line, code=0):
        here = self.cli(f"--host {line}", code=code)
        there = self.cli(f"--url {self.url} {line}", code=code)
        return here, there


@pytest.fixture
def database_url(served):
    return served.database_url


@pytest.fixture
def both(ready, served, monkeypatch):
    """The served database, and an admin key in the environment."""
    owner = ready.json("account create Operators")["id"]
    admin = ready.json("key create --name admin --capability tokensvc:admin --account", owner)
    monkeypatch.setenv("TOKENSVC_API_KEY", admin["key"])
    monkeypatch.setenv("TOKENSVC_ISSUER", served.url)  # the host must have the same settings

    return Both(ready, served.url)


def list_commands():
    """Return every command, as it is typed."""
    context, found = click.Context(root), []
    for name in COMMANDS:
        command = root.get_command(context, name)
        verbs = getattr(command, "commands", {"": command})
        found += [f"{name} {verb}".strip() for verb, one in verbs.items() if not one.hidden]
    return found


def test_every_command_that_calls_an_operation_is_tried_both_ways():
    lines = [*READING, *(line for _, line in CHANGES), *ENDLESS]
    tried = {
        name for name in list_commands() if any(f"{line} ".startswith(f"{name} ") for line in lines)
    }
    for names, test in ELSEWHERE.items():
        source = inspect.getsource(test)
        for name in names:
            assert name in source
            tried.add(name)
    assert sorted(tried | OF_ONE_PLACE) == sorted(list_commands())
    assert not tried & OF_ONE_PLACE
    assert set(ENDLESS) <= {line for line, _ in REFUSED}


def test_reading_prints_the_same_on_the_host_and_over_http(both, subtests):
    cli = both.cli
    account = cli.json("account create Orders")["id"]
    key = cli.json("key create --name ci --capability a --metadata team=x --account", account)["id"]
    revoked = cli.json("key create --name old --capability a --account", account)["id"]
    cli("key revoke", revoked)
    kid = cli.json("signing-key list")[0]["kid"]
    cli("audience create https://orders.example/x")
    endpoint = cli.json("notice create https://hooks.example/x --event key.idle")["id"]
    things = {"account": account, "key": key, "revoked": revoked, "kid": kid, "endpoint": endpoint}
    for template in READING:
        line = template.format(**things, beginning=key[:12])
        with subtests.test(msg=line):
            here, there = both(line)
            assert (without_moment(there.stdout), there.stderr) == (
                without_moment(here.stdout),
                here.stderr,
            )
            assert here.output != ""


def without_moment(text):
    """What was printed, but for the moment at which each process counted by itself."""
    return re.sub(r'counted_at": "[^"]*"', 'counted_at": ""', text)


def name_fields(printed):
    """Each field of an object, or of the objects of a list, and whether it has no value.

    Since when a receiver fails depends on whether the service has tried it meanwhile.
    """
    objects = printed if isinstance(printed, list) else [printed]
    return [
        [(name, value is None and name != "failing_since") for name, value in each.items()]
        for each in objects
    ]


def test_health_is_shown_on_the_host_and_over_http_where_a_process_tells_of_itself_too(both):
    here = both.cli.json("--host health")
    there = both.cli.json(f"--url {both.url} health")
    assert list(here) == list(there)
    assert here["migrations"] == there["migrations"]
    assert here["process"] is None
    assert there["process"]["checks"]["ledger"] is True
    shown = both.cli(f"--url {both.url} health -o text --settings").stdout
    assert "all hold" in shown
    assert "TOKENSVC_ROTATION_PERIOD" in shown
    assert both.cli("--host health -o text").stdout.startswith("version ")


def test_refusals_print_the_same_and_have_the_same_exit_code(both, subtests):
    account, key = "acct_0000000000000000", "key_0000000000000000"
    for template, code in REFUSED:
        line = template.format(account=account, key=key)
        with subtests.test(msg=line):
            here, there = both(line, code=code)
            assert (there.stdout, there.stderr) == (here.stdout, here.stderr)


def test_changes_print_the_same_fields_on_the_host_and_over_http(both, subtests):
    def run(prefix, name):
        things = {"name": name}
        for known_as, template in CHANGES:
            result = both.cli.json(f"{prefix} {template.format(**things)}")
            if known_as:
                things[known_as] = result["id"]
            yield template, result

    here, there = run("--host", "here"), run(f"--url {both.url}", "there")
    for (template, on_host), (_, over_http) in zip(here, there, strict=True):
        with subtests.test(msg=template):
            assert name_fields(on_host) == name_fields(over_http)


def test_acts_on_many_keys_tokens_and_signing_keys_print_the_same_fields(both, tmp_path):
    cli, far = both.cli, f"--url {both.url}"

    def run(prefix, name):
        account = cli.json(f"account create {name}")["id"]
        make = f"key create --capability a --account {account} --name"
        first, second, third = [cli.json(f"{make} {number}") for number in "123"]
        file = tmp_path / name
        file.write_text(third["key"])
        token = cli(f"{far} token get --key-file {file}").stdout
        exported = tmp_path / f"{name}.pem"
        made = [
            *cli.json(f"{prefix} key batch disable {first['id']} {second['id']} --reason lost"),
            *cli.json(f"{prefix} key batch update {third['id']} --per-minute 7"),
            *cli.json(f"{prefix} key batch enable key_0000000000000000", code=5),
            cli.json(f"{prefix} token inspect", stdin=token),
            cli.json(f"{prefix} token revoke", stdin=token),
            cli.json(f"{prefix} token inspect", stdin=token),
            cli.json(f"{prefix} signing-key rotate --now --force"),
            *cli.json(f"{prefix} signing-key list"),
            cli.json(f"{prefix} signing-key import", stdin=new_private_key()),
        ]
        signer = next(row for row in made if row.get("phase") == "active")["kid"]
        cli(f"{prefix} signing-key export --private {exported} {signer}")
        assert exported.read_text().startswith("-----BEGIN PRIVATE KEY-----")
        return [*made, cli.json(f"{prefix} signing-key revoke --yes {signer}")]

    # The second one finds a signing key more, which the first one has left behind.
    fields = [[tuple(row) for row in run(prefix, "x" + prefix[2])] for prefix in ("--host", far)]
    assert set(fields[0]) == set(fields[1])
    assert [row for row in fields[0] if "phase" not in row] == [
        row for row in fields[1] if "phase" not in row
    ]


def new_private_key():
    """Return a private key as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_key_rotates_itself_over_http_and_on_the_host_no_key_is_shown(both, monkeypatch):
    account = both.cli.json("account create Orders")["id"]
    key = both.cli.json(f"key create --name ci --capability a --account {account}")
    monkeypatch.setenv("TOKENSVC_API_KEY", key["key"])
    made = both.cli.json(f"--url {both.url} key rotate self --grace 1h")
    assert (made["predecessor"], made["name"]) == (key["id"], "ci")
    again = both.cli(f"--url {both.url} key rotate self", code=5)
    assert "successor" in again.stderr
    refused = both.cli("--host key rotate self", code=5)
    assert "API key" in refused.stderr


def test_the_key_that_is_shown_says_who_calls_and_only_a_report_of_a_leak_needs_none(
    both, monkeypatch
):
    far = f"--url {both.url}"
    who = both.cli.json(f"{far} whoami")
    assert (who["capabilities"], who["key"][:4]) == (["tokensvc:admin"], "key_")
    assert "account-day 50000 of 50000" in both.cli(f"{far} whoami").stdout
    assert both.cli.json("--host whoami")["actor"].startswith("cli:")
    monkeypatch.setenv("TOKENSVC_API_KEY", "tsk-" + "0" * 32)
    refused = both.cli(f"{far} key list", code=4)
    assert "refuses the API key" in refused.stderr
    monkeypatch.delenv("TOKENSVC_API_KEY")
    assert "there is no API key" in both.cli(f"{far} key list", code=4).stderr
    # Whoever has found a key reports it without one.
    account = both.cli.json("--host account create Orders")["id"]
    key = both.cli.json("--host key create --name ci --capability a --account", account)
    reported = both.cli(f"{far} key scan --report -", stdin=key["key"], code=5)
    assert "1 key(s) reported" in reported.stderr
    assert both.cli.json("--host key show", key["id"])["state"] == "disabled"


# What needs more than a line.
ELSEWHERE: dict[tuple[str, ...], Callable[..., object]] = {
    ("health",): test_health_is_shown_on_the_host_and_over_http_where_a_process_tells_of_itself_too,
    (
        "key batch", "token inspect", "token revoke", "signing-key rotate", "signing-key list",
        "signing-key import", "signing-key revoke",
    ): test_acts_on_many_keys_tokens_and_signing_keys_print_the_same_fields,
    (
        "whoami", "key scan",
    ): test_the_key_that_is_shown_says_who_calls_and_only_a_report_of_a_leak_needs_none,
}  # fmt: skip
