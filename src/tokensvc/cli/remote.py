"""Operations over HTTP, with the standard library alone, so that a command starts quickly.

The certificate of the service is verified, plain http is for loopback only, no proxy is used, and
no redirect is followed: the API key goes to the named service and to nobody else.
"""

from __future__ import annotations

import http.client
import json
import ssl
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from tokensvc.cli.remote_errors import CredentialRefusedError, build_error
from tokensvc.cli.target import is_http_allowed
from tokensvc.core.errors import (
    ChangeUnknownError,
    InvalidInputError,
    OutcomeUnknownError,
    TokensvcError,
    UnavailableError,
)
from tokensvc.core.url import check_secure_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokensvc.operations.operation import Operation

_CONNECT_SECONDS: Final = 10.0
# `denylist watch` waits for 25 of them.
_ANSWER_SECONDS: Final = 60.0
_MOST_BYTES: Final = 64 * 1024 * 1024
_ATTEMPTS: Final = 2  # of what is safe to repeat
_FIRST_FAILURE: Final = 300
_NO_TLS: Final = "WRONG_VERSION_NUMBER"  # OpenSSL's word for an answer that is no TLS
_NOT_IN_A_PATH: Final = {"", ".", ".."}


class Remote:
    """A service that operations are sent to, one after the other, over one connection."""

    def __init__(self, url: str, credential: str | None) -> None:
        try:
            parts = urlsplit(check_secure_url(url, allow_http=is_http_allowed()))
            port = parts.port
        except ValueError as error:
            raise InvalidInputError(f"the URL of the service cannot be used: {error}") from error
        self._url, self._prefix = url, parts.path.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": "tokensvc"}
        if credential is not None:
            self._headers["Authorization"] = f"Bearer {_check_credential(credential)}"
        host = str(parts.hostname)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=_CONNECT_SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS)

    def run(self, operation: Operation, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an operation answers. Raises TokensvcError."""
        # This is built once, so that a second attempt names the same request and is not carried out
        # again.
        path, body, headers = self._build(operation, request)
        is_safe = not operation.changes or operation.idempotent_by_key
        for attempts_left in reversed(range(_ATTEMPTS if is_safe else 1)):
            try:
                return self._ask(operation.method, path, body, headers)
            except _SentError as error:
                self._connection.close()
                if not attempts_left:
                    raise self._explain(operation, error) from error
            except ssl.SSLError as error:
                if error.reason == _NO_TLS:
                    text = f"{self._url} does not speak https; is it http?"
                else:
                    text = f"{self._url} cannot be trusted: {error.reason}"
                raise TokensvcError(text) from error
            except OSError as error:
                raise self._build_unavailable(error) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _build(
        self, operation: Operation, request: Mapping[str, Any]
    ) -> tuple[str, bytes | None, dict[str, str]]:
        path, rest = operation.path, dict(request)
        for name in operation.path_parameters:
            value = str(rest.pop(name))
            if value in _NOT_IN_A_PATH:
                raise InvalidInputError(f"/{name}: {value!r} names nothing")
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        headers = dict(self._headers)
        if not operation.changes:
            query = urlencode(list(_list_parameters(rest)))
            return self._prefix + path + (f"?{query}" if query else ""), None, headers
        if operation.idempotent_by_key:
            headers["Idempotency-Key"] = str(uuid.uuid4())
        headers["Content-Type"] = "application/json"
        return self._prefix + path, json.dumps(rest).encode("utf-8"), headers

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        # This is done apart from the request: if it fails, nothing was sent.
        if self._connection.sock is None:
            self._connection.connect()
        self._connection.sock.settimeout(_ANSWER_SECONDS)
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _SentError(str(error) or type(error).__name__) from error
        return self._read(answer.status, text)

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise TokensvcError(f"{self._url} answers {status} and no JSON; is it a tokensvc?")
        if status < _FIRST_FAILURE:
            return body
        if not isinstance(body.get("detail"), str):
            raise TokensvcError(f"{self._url} answers {status}; is it a tokensvc?")
        raise build_error(body)

    def _explain(self, operation: Operation, failure: _SentError) -> TokensvcError:
        """Return the error for a request that got no answer."""
        if operation.idempotent_by_key:
            return ChangeUnknownError()
        if operation.changes:
            return OutcomeUnknownError(
                f"{self._url} did not answer ({failure}), so it may or may not have happened; "
                "look, or try again"
            )
        return self._build_unavailable(failure)

    def _build_unavailable(self, failure: OSError) -> UnavailableError:
        reason = failure.strerror or str(failure)
        return UnavailableError(f"{self._url} does not answer ({reason}); try again")


class _SentError(OSError):
    """The connection broke after the request had begun to go out."""


def _check_credential(credential: str) -> str:
    # A line break in it would begin another field of the request.
    if not credential or not all("!" <= character <= "~" for character in credential):
        raise CredentialRefusedError("this is no API key: it has other characters")
    return credential


def _list_parameters(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in request.items():
        if isinstance(value, dict):
            for member, text in value.items():
                yield f"{name}.{member}", str(text)
        else:
            yield name, str(value)
