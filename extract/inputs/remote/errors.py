"""What many stores' libraries raise, told apart by what helps: ask again, ask for another, or stop.

The libraries are not imported to name their classes, which would cost seconds: they are known by the
names in an exception's chain, by the store's own error code and by HTTP's status.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Literal

from fc7.extract.inputs.places.addresses import is_address, redacted
from fc7.models.common.errors import CredentialsError, ImageError, UsageError

Kind = Literal["absent", "refused", "passing", "other"]

# RFC 9110 and 6585: timeouts, overload, gateways.
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_PASSING_ERRNO = frozenset(
    {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT, errno.EPIPE}
)
# A base class counts too.
_PASSING_NAMES = frozenset(
    {
        "ConnectionError",
        "TimeoutError",
        "FSTimeoutError",
        "ClientConnectionError",  # aiohttp
        "ClientPayloadError",
        "IncompleteRead",  # http.client
        "IncompleteReadError",  # botocore
        "ResponseStreamingError",
        "HTTPClientError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ServiceRequestError",  # azure
        "ServiceResponseError",
    }
)
_CREDENTIAL_NAMES = frozenset(
    {
        "NoCredentialsError",  # botocore
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "SSOError",
        "ProfileNotFound",
        "NoAuthTokenError",
        "DefaultCredentialsError",  # google.auth
        "RefreshError",
        "ClientAuthenticationError",  # azure
    }
)
# docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: the key, not the object, is refused.
_CREDENTIAL_CODES = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "RequestTimeTooSkewed",
        "AccountProblem",
        "NotSignedUp",
        "InvalidSecurity",
    }
)
_PASSING_CODES = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling"}
)


class StoreError(ImageError):
    """Why a store did not give something; the text has no secrets."""

    def __init__(self, reason: str, kind: Kind) -> None:
        super().__init__(reason)
        self.kind: Kind = kind


def translated(exc: BaseException, place: str) -> StoreError | CredentialsError | UsageError:
    """What one of many libraries raised, as one of ours.

    Parameters
    ----------
    place : str
        The store, for the message about credentials.
    """
    if isinstance(exc, StoreError | CredentialsError | UsageError):
        return exc
    chain = list(_chain(exc))
    names = {base.__name__ for one in chain for base in type(one).__mro__}
    code, status, said = _answer(chain)
    if names & _CREDENTIAL_NAMES or code in _CREDENTIAL_CODES or status == 401:
        return CredentialsError(
            f"{place}: the credentials are missing or refused ({code or said or status}). Put them where the "
            "store's own tools find them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, "
            "GOOGLE_APPLICATION_CREDENTIALS); for a public bucket set FSSPEC_S3_ANON=true"
        )
    http = f"HTTP {status}" if status else said
    if status in _PASSING_STATUS or code in _PASSING_CODES:
        return StoreError(f"the store is busy or failing ({code or http})", "passing")
    if status == 403 or code == "AccessDenied" or (status is None and "PermissionError" in names):
        return StoreError(f"access refused ({code or http})", "refused")
    if status in (404, 410) or (
        status is None and "FileNotFoundError" in names and not names & _PASSING_NAMES
    ):
        return StoreError("not found", "absent")
    passing = names & _PASSING_NAMES or any(getattr(one, "errno", None) in _PASSING_ERRNO for one in chain)
    if status is None and passing:
        return StoreError(f"the connection failed ({said})", "passing")
    return StoreError(f"cannot be read ({code or http})", "other")


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _answer(chain: list[BaseException]) -> tuple[str, int | None, str]:
    """A store's error code, HTTP's status, and a short text without secrets, as far as there are any."""
    code, status = "", None
    for one in chain:
        response = getattr(one, "response", None)  # botocore
        if isinstance(response, dict):
            told = str(response.get("Error", {}).get("Code", ""))
            # An answer without a body has its status for a code.
            code = code or (told if not told.isdecimal() else "")
            status = status or response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        # aiohttp marks what breaks HTTP itself, as a body that ends early, with a 400 that no server sent.
        ours = any(base.__name__ == "HttpProcessingError" for base in type(one).__mro__)
        for attribute in ("status", "status_code", "code"):  # aiohttp, azure, gcsfs
            value = getattr(one, attribute, None) if status is None and not ours else None
            if isinstance(value, int | str) and str(value).isdecimal():
                status = int(value)
    last = chain[-1]
    text = " ".join(redacted(str(last)).split())
    # aiohttp's errors show whole addresses; the type says what happened.
    named = type(last).__name__
    return code, status or None, named if not text or is_address(text) else f"{named}: {text[:160]}"
