"""The one map from errors to the exit codes of the command line.

The one to the answers of HTTP is `web/problems.py`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from tokensvc.cli.remote_errors import CredentialRefusedError
from tokensvc.core import errors


class ExitCode(IntEnum):
    """How a command ends if it is not done (0). Click itself ends wrong usage with 2."""

    FAILED = 1
    NOT_FOUND = 3
    CREDENTIALS_REFUSED = 4
    REFUSED = 5
    UNAVAILABLE = 6
    FOLLOWERS_LAG = 7


# The first kind that fits decides, so a subclass stands before its parent.
_EXIT_CODES: Final[tuple[tuple[type[errors.TokensvcError], ExitCode], ...]] = (
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.InvalidClientError, ExitCode.CREDENTIALS_REFUSED),
    (CredentialRefusedError, ExitCode.CREDENTIALS_REFUSED),
    (errors.RateLimitedError, ExitCode.UNAVAILABLE),
    (errors.UnavailableError, ExitCode.UNAVAILABLE),
    (errors.VerifierUnavailableError, ExitCode.UNAVAILABLE),
    (errors.InvalidInputError, ExitCode.REFUSED),
    (errors.ConflictError, ExitCode.REFUSED),
    (errors.ForbiddenError, ExitCode.REFUSED),
    (errors.VersionConflictError, ExitCode.REFUSED),
    (errors.IdempotencyKeyReusedError, ExitCode.REFUSED),
    (errors.OAuthError, ExitCode.REFUSED),
    (errors.BearerError, ExitCode.REFUSED),
)


def find_exit_code(error: errors.TokensvcError) -> ExitCode:
    """Return the exit code of a command that `error` ended."""
    codes = (code for kind, code in _EXIT_CODES if isinstance(error, kind))
    return next(codes, ExitCode.FAILED)
