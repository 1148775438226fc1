"""What boto3 and S3 servers say, in the words of `object_errors`: the one place that knows their codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from storage_core import object_errors as ours

_TIMED_OUT = (boto.ConnectTimeoutError, boto.ReadTimeoutError)
_CUT = (boto.ResponseStreamingError, boto.IncompleteReadError, ResponseParserError)
_DENIED = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)
_UNREACHABLE = (boto.ConnectionError, boto.HTTPClientError)  # refused, unknown name, broken connection, TLS
_ABSENT = {"NoSuchKey", "NotFound", "404"}
_BROKEN = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_AGAIN = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "OperationAborted"}
NO_SUCH_UPLOAD = "NoSuchUpload"
INVALID_RANGE = "InvalidRange"


@contextmanager
def translated(where: str, key: str | None) -> Iterator[None]:
    """Raise an ObjectError of `where` and `key` for whatever boto3 raises in this block."""
    try:
        yield
    except boto.ClientError as error:
        raise _answer(where, key, error) from error
    except _TIMED_OUT as error:
        raise ours.StoreTimedOut(where, key, str(error)) from error
    except _CUT as error:
        raise ours.TransferBroken(where, key, str(error)) from error
    except _DENIED as error:
        raise ours.AccessDenied(where, key, str(error)) from error
    except _UNREACHABLE as error:
        raise ours.StoreUnreachable(where, key, str(error)) from error
    except boto.BotoCoreError as error:
        raise ours.StoreRefused(where, key, str(error)) from error


def code_of(error: BaseException | None) -> str:
    """The code that the server gave, empty when the error is not an answer of a server."""
    return str(error.response["Error"]["Code"]) if isinstance(error, boto.ClientError) else ""


def _answer(where: str, key: str | None, error: boto.ClientError) -> ours.ObjectError:
    facts = error.response.get("Error", {})
    code, message = str(facts.get("Code", "")), str(facts.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    reason = f"{code}: {message}" if message and message != code else code or f"HTTP {status}"
    if code == "NoSuchBucket" or (code in _ABSENT and key is None):
        return ours.NoSuchBucket(where, key)
    if code in _ABSENT and key is not None:
        return ours.ObjectNotFound(where, key)
    if code in _BROKEN:
        return ours.TransferBroken(where, key, reason)
    if status >= 500 or status in (408, 409, 429) or code in _AGAIN:
        return ours.StoreFailed(where, key, reason)
    if status in (401, 403):
        return ours.AccessDenied(where, key, reason)
    return ours.StoreRefused(where, key, reason)
