"""Mail reaches a real mail server: encrypted, with a login, and nothing of it otherwise."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from testbed.certificates import make_certificate
from tests.factories import NOW

from tokensvc.issuer.notices.mail import MailSender

# The mail server of the test finds a login without TLS unwise, and is right.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH", "ignore:Session.login_data")

# Both lead to this machine. A mail server on the second one is taken for one that is far away.
NEAR, FAR = "localhost", "127.1"
LOGIN, PASSWORD = "tokens", "p@ss:w/rd"
CREDENTIALS = "tokens:p%40ss%3Aw%2Frd"
UNSUBSCRIBE = "https://tokens.example/notices/unsubscribe?code=hook_" + "a" * 80


class MailServer:
    """Keeps the mails, the logins, and whether each came by TLS."""

    def __init__(self):
        self.mails = []
        self.logins = []
        self.port = 0

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address.startswith("nobody"):
            return "550 there is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 yes"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 kept"

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=self.logins[-1] == (LOGIN, PASSWORD), handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("mail"), (NEAR, FAR))


@pytest.fixture
def trusted(certificate, monkeypatch):
    """Lets this process trust the certificate, as an operator does with a CA of the own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))


@asynccontextmanager
async def serve(certificate, *, tls=False, starttls=False):
    """Run a mail server that wants a login: by TLS from the start, after STARTTLS, or without."""
    kept = MailServer()

    def talk():
        return SMTP(
            kept,
            authenticator=kept.authenticate,
            auth_required=True,
            auth_require_tls=starttls,
            tls_context=certificate.serving if starttls else None,
        )

    loop = asyncio.get_running_loop()
    ssl = certificate.serving if tls else None
    server = await loop.create_server(talk, "127.0.0.1", 0, ssl=ssl)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()


@pytest.fixture
def send(settings):
    async def act(url, address="ops@example.com"):
        told = settings.model_dump() | {"smtp_url": url, "smtp_from": "tokens@example.com"}
        sender = MailSender(settings.model_validate(told))
        return await sender.send(address, "Ümlaut", "Zeile\n" + "x" * 200, NOW, UNSUBSCRIBE)

    return act


@pytest.mark.parametrize(("scheme", "host"), [("smtps", NEAR), ("smtps", FAR), ("smtp", FAR)])
@pytest.mark.usefixtures("trusted")
async def test_mail_goes_encrypted_and_with_a_login(certificate, send, scheme, host):
    is_tls = scheme == "smtps"
    async with serve(certificate, tls=is_tls, starttls=not is_tls) as server:
        outcome = await send(f"{scheme}://{CREDENTIALS}@{host}:{server.port}")
    assert outcome.is_delivered, outcome
    assert server.logins == [(LOGIN, PASSWORD)]
    (mail,) = server.mails
    assert (mail["To"], mail["From"]) == ("ops@example.com", "tokens@example.com")
    assert (mail["Subject"], mail.get_content().split()) == ("Ümlaut", ["Zeile", "x" * 200])
    # RFC 8058 section 2
    assert mail["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.usefixtures("trusted")
async def test_a_far_server_without_encryption_is_told_no_password(certificate, send):
    async with serve(certificate) as server:
        outcome = await send(f"smtp://{CREDENTIALS}@{FAR}:{server.port}")
    assert (outcome.is_delivered, outcome.error) == (False, "mail_server_away")
    assert (server.logins, server.mails) == ([], [])


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_a_certificate_that_nobody_vouches_for_is_told_no_password(certificate, send, scheme):
    is_tls = scheme == "smtps"
    async with serve(certificate, tls=is_tls, starttls=not is_tls) as server:
        outcome = await send(f"{scheme}://{CREDENTIALS}@{FAR}:{server.port}")
    assert (outcome.is_delivered, outcome.error) == (False, "mail_server_away")
    assert (server.logins, server.mails) == ([], [])


@pytest.mark.usefixtures("trusted")
async def test_what_the_server_refuses_is_told_by_its_kind(certificate, send):
    async with serve(certificate, tls=True) as server:
        wrong = await send(f"smtps://tokens:wrong@{NEAR}:{server.port}")
        assert (wrong.status, wrong.error) == (535, "mail_refused")
        unknown = await send(f"smtps://{CREDENTIALS}@{NEAR}:{server.port}", "nobody@example.com")
        assert unknown.error == "recipient_refused"
    assert server.mails == []
