"""What can go wrong with an object: one leaf a situation, the same ones for a folder and for S3.

`where` is the root (a folder or s3://bucket/prefix), `key` the object in it, None when it is about the whole root.
`permanent` decides whether a call is tried again: False = the same call may work a moment later.
"""

from __future__ import annotations

from storage_core.errors import StorageError


class ObjectError(StorageError):
    """Root of the errors of object stores."""

    def __init__(self, where: str, key: str | None, problem: str) -> None:
        self.where, self.key, self.problem = where, key, problem
        super().__init__(f"{where if key is None else f'{where}/{key}'}: {problem}")


class BadKey(ObjectError):
    """A key that no object can have."""

    permanent = True

    def __init__(self, where: str, key: str, problem: str) -> None:
        super().__init__(where, None, f"the key {key[:80]!r} is not valid: {problem}")
        self.key = key


class ObjectNotFound(ObjectError):
    """There is no object with this key."""

    permanent = True

    def __init__(self, where: str, key: str) -> None:
        super().__init__(where, key, "there is no such object")


class NoSuchBucket(ObjectError):
    """The bucket does not exist; we never make one."""

    permanent = True

    def __init__(self, where: str, key: str | None) -> None:
        super().__init__(where, key, "there is no such bucket; create it, or correct the setting")


class AccessDenied(ObjectError):
    """The store knows who asks and says no, or the account is not known to it."""

    permanent = True

    def __init__(self, where: str, key: str | None, reason: str) -> None:
        super().__init__(where, key, f"access denied ({reason})")


class StoreRefused(ObjectError):
    """The store understood the request and does not do it: something is set up wrongly."""

    permanent = True

    def __init__(self, where: str, key: str | None, reason: str) -> None:
        super().__init__(where, key, f"the store refused ({reason})")


class StoreUnreachable(ObjectError):
    """Nobody answers at that address: refused, unknown name, no route, a broken connection."""

    def __init__(self, where: str, key: str | None, reason: str) -> None:
        super().__init__(where, key, f"the store cannot be reached ({reason})")


class StoreTimedOut(ObjectError):
    """The store was asked and did not answer in time."""

    def __init__(self, where: str, key: str | None, reason: str) -> None:
        super().__init__(where, key, f"the store did not answer in time ({reason})")


class StoreFailed(ObjectError):
    """The store has a problem of its own (5xx), or asks for patience (throttling)."""

    def __init__(self, where: str, key: str | None, reason: str) -> None:
        super().__init__(where, key, f"the store failed ({reason})")


class TransferBroken(ObjectError):
    """The bytes did not arrive whole: the connection was cut, or what arrived was not what was sent."""

    def __init__(self, where: str, key: str | None, reason: str) -> None:
        super().__init__(where, key, f"the transfer broke ({reason})")


class ObjectChanged(ObjectError):
    """Somebody replaced the object while it was being read."""

    def __init__(self, where: str, key: str) -> None:
        super().__init__(where, key, "it was replaced while it was being read")


class ObjectDamaged(ObjectError):
    """The bytes are not those that were noted, also when read again."""

    permanent = True

    def __init__(self, where: str, key: str, *, kind: str, expected: str, was: str) -> None:
        self.kind, self.expected, self.was = kind, expected, was
        super().__init__(where, key, f"it is damaged: its {kind} is {was}, it must be {expected}")


class ObjectTooLarge(ObjectError):
    """More bytes than one object can hold."""

    permanent = True

    def __init__(self, where: str, key: str, limit: int) -> None:
        self.limit = limit
        super().__init__(where, key, f"it is larger than {limit} bytes, the most that can be sent in parts")
