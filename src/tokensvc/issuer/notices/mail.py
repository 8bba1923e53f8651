"""Sending mail, in plain text, through the operator's mail server."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from tokensvc.core.url import is_loopback
from tokensvc.store.notice_delivery import AttemptOutcome

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.settings import Settings

_SECONDS: Final = 10.0
# A link must stand in one line, also in a header. RFC 5322 section 2.1.1 allows as many characters.
_POLICY: Final = default.clone(max_line_length=998)


class MailSender:
    """Sends mail with what the settings say; without TOKENSVC_SMTP_URL it sends none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def is_on(self) -> bool:
        """Whether there is a mail server."""
        return self._settings.smtp_url is not None

    async def send(
        self, address: str, subject: str, text: str, now: datetime, unsubscribe: str
    ) -> AttemptOutcome:
        """Send a mail to one address; return how it ended.

        `unsubscribe`: the link by which whoever reads it gets no more (RFC 8058).
        """
        url = self._settings.smtp_url
        if url is None:
            return AttemptOutcome(is_delivered=False, error="mail_off")
        import aiosmtplib  # noqa: PLC0415 - only a service that sends mail needs it

        parts = urlsplit(url.get_secret_value())
        is_local = is_loopback(parts.hostname or "")
        try:
            await aiosmtplib.send(
                self._build_message(address, subject, text, now, unsubscribe),
                hostname=parts.hostname,
                port=parts.port,
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                use_tls=parts.scheme == "smtps",
                # Off loopback nothing goes unencrypted, and no password above all.
                start_tls=None if parts.scheme == "smtps" or is_local else True,
                timeout=_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused:
            return AttemptOutcome(is_delivered=False, error="recipient_refused")
        except aiosmtplib.SMTPResponseException as error:
            return AttemptOutcome(is_delivered=False, status=error.code, error="mail_refused")
        except (aiosmtplib.SMTPException, OSError, ValueError):
            return AttemptOutcome(is_delivered=False, error="mail_server_away")
        return AttemptOutcome(is_delivered=True)

    def _build_message(
        self, address: str, subject: str, text: str, now: datetime, unsubscribe: str
    ) -> EmailMessage:
        message = EmailMessage(policy=_POLICY)
        sender = self._settings.smtp_from
        message["From"] = sender
        message["To"] = address
        message["Subject"] = subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(text)
        return message
