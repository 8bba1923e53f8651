"""`tokensvc doctor` on the host and over HTTP, and what it sees of an issuer from outside."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from testbed.certificates import make_certificate

from tokensvc.cli.outside import look_from_outside
from tokensvc.core.doctor.table import examine_outside

FAULT = "fault"


def list_faults(findings):
    return [finding["check"] for finding in findings if finding["state"] == FAULT]


@pytest.fixture
def database_url(served):
    return served.database_url


def test_nothing_is_amiss_with_a_service_that_runs_on_the_host_and_over_http(
    ready, served, monkeypatch
):
    owner = ready.json("account create Operators")["id"]
    reader = ready.json("key create --name reader --capability tokensvc:read --account", owner)
    monkeypatch.setenv("TOKENSVC_API_KEY", reader["key"])
    here = ready.json("--host doctor", TOKENSVC_ISSUER=served.url)
    there = ready.json(f"--url {served.url} doctor")
    assert [one["check"] for one in there] == [one["check"] for one in here]
    # The role of the tests is a superuser, which is a note.
    assert {one["check"] for one in there if one["state"] != "ok"} == {"role"}
    assert {one["check"] for one in here if one["state"] != "ok"} == {"role"}
    shown = ready(f"--url {served.url} doctor").stdout
    assert "16 checks, no faults" in shown
    # A path is never cut: one that is too long stands on a line of its own.
    wide = [line for line in shown.splitlines() if len(line) > 100]
    assert [line for line in wide if " " in line.strip()] == []


def test_a_fault_ends_the_command_with_5_and_is_told_with_its_reason_and_its_way_out(
    ready, unused_tcp_port
):
    dead = f"http://127.0.0.1:{unused_tcp_port}"
    told = ready("--host doctor", code=5, TOKENSVC_ISSUER=dead).stdout
    assert "fault    jwks" in told
    assert "why: " in told
    assert "do: see that the service runs" in told
    assert "3 faults" in told


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("TOKENSVC_PROT", "8081", "TOKENSVC_PORT"),
        ("TOKENSVC_TOKEN_TTL", "soon", "TOKENSVC_TOKEN_TTL"),
        ("TOKENSVC_DATABASE_URL", "mysql://db/x", "postgresql://"),
    ],
)
def test_settings_that_cannot_be_used_are_found(offline_cli, setting, value, said):
    (found,) = offline_cli.json("doctor", code=5, **{setting: value})
    assert (found["check"], found["state"]) == ("settings", FAULT)
    assert said in found["what"]


def test_a_service_that_refuses_the_key_is_looked_at_from_outside_all_the_same(offline_cli, served):
    found = offline_cli.json(
        f"--url {served.url} doctor", code=5, TOKENSVC_API_KEY="tsk-" + "0" * 32
    )
    assert list_faults(found) == ["service"]
    assert [one["check"] for one in found] == ["service", "jwks", "metadata", "feed", "certificate"]


class Issuer:
    """An issuer that answers what `answers` says, by path; a test may plant faults there."""

    def __init__(self, url):
        self.url = url
        claims = {"iss": url, "iat": int(time.time()), "cursor": "0-tag"}
        page = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        self.answers: dict[str, tuple[int, dict[str, str], str]] = {
            "/.well-known/jwks.json": (200, {}, json.dumps({"keys": [{"kid": "one"}]})),
            "/.well-known/oauth-authorization-server": (200, {}, json.dumps({"issuer": url})),
            "/v1/denylist": (200, {}, f"e30.{page}.c2ln"),
        }


@contextmanager
def running_issuer(certificate=None):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = issuer.answers.get(self.path, (404, {}, ""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        server.socket = certificate.serving.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    issuer = Issuer(f"{scheme}://localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()
    server.server_close()


def look(issuer, published=("one",)):
    """Return what is amiss, by check."""
    facts = look_from_outside(issuer.url, datetime.fromtimestamp(time.time(), UTC), published)
    return {one.check: one for one in examine_outside(facts) if one.state != "ok"}


def test_each_fault_that_others_see_of_an_issuer_is_found(subtests):
    with running_issuer() as issuer:
        healthy = dict(issuer.answers)
        assert look(issuer) == {}
        assert list(look(issuer, published=("one", "new"))) == ["jwks"]
        for path, (status, headers, body), check in (
            ("/.well-known/jwks.json", (302, {"Location": "/"}, ""), "jwks"),
            ("/.well-known/jwks.json", (200, {}, "<html>"), "jwks"),
            (
                "/.well-known/oauth-authorization-server",
                (200, {}, json.dumps({"issuer": "http://internal:8080"})),
                "metadata",
            ),
            ("/v1/denylist", (200, {"Age": "20"}, healthy["/v1/denylist"][2]), "feed"),
            ("/v1/denylist", (502, {}, "bad gateway"), "feed"),
        ):
            with subtests.test(msg=f"{path}: {status} {body[:30]}"):
                issuer.answers = healthy | {path: (status, headers, body)}
                amiss = look(issuer)
                assert list(amiss) == [check]
                assert amiss[check].way_out != ""


@pytest.mark.parametrize("days", [3, 60])
def test_a_certificate_is_found_before_it_ends_and_if_nobody_trusts_it(tmp_path, monkeypatch, days):
    certificate = make_certificate(tmp_path, life=timedelta(days=days))
    with running_issuer(certificate) as issuer:
        untrusted = look(issuer)
        assert "not trusted" in untrusted["certificate"].what
        assert list(untrusted) == ["jwks", "metadata", "feed", "certificate"]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
        assert list(look(issuer)) == (["certificate"] if days == 3 else [])
