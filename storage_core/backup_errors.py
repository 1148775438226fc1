"""What can go wrong with backups: one leaf a situation. `permanent` = the same again cannot help."""

from __future__ import annotations

from collections.abc import Sequence

from storage_core.errors import StorageError


class BackupError(StorageError):
    """Root of the errors of backups."""


class BackupRunning(BackupError):
    """A backup or a prune (or, for a rehearsal, another rehearsal) of this installation is at work."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"another {what} is running; try again when it is done")


class NoSuchBackup(BackupError):
    """There is no backup of that name."""

    permanent = True

    def __init__(self, where: str, name: str, known: Sequence[str]) -> None:
        self.where, self.name, self.known = where, name, tuple(known)
        newest = f"; the newest are {', '.join(known[-3:])}" if known else "; there is none yet"
        super().__init__(f"there is no backup {name[:60]!r} in {where}{newest}")


class BackupDamaged(BackupError):
    """Something in a backup is not what was stored, or is gone."""

    permanent = True

    def __init__(self, where: str, problem: str) -> None:
        self.where, self.problem = where, problem
        super().__init__(f"the backup is damaged: {where}: {problem}")


class UnknownFormat(BackupError):
    """A backup that a newer release made."""

    permanent = True

    def __init__(self, where: str, was: object, known: int) -> None:
        self.where, self.was, self.known = where, was, known
        super().__init__(
            f"the backup {where} has format {was!r}, this release reads up to {known}; use a newer release"
        )


class FileUnreadable(BackupError):
    """A file that should be backed up is there and cannot be read; the backup of the others goes on."""

    permanent = True

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path} cannot be read: {problem}")


class BackupDisturbed(BackupError):
    """What the new backup counts on went away while it was made; nothing was committed."""

    def __init__(self, where: str, key: str) -> None:
        self.where, self.key = where, key
        super().__init__(f"{where}/{key} vanished while the backup was made; nothing was committed, try again")


class DatabaseDamaged(BackupError):
    """The database does not pass its own check, so a copy of it would be worth nothing."""

    permanent = True

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the database is damaged, so no backup was made of it: {problem}")


class ProgramMissing(BackupError):
    """pg_dump or pg_restore is not there, or too old for the server."""

    permanent = True

    def __init__(self, program: str, wanted: int, found: Sequence[int]) -> None:
        self.program, self.wanted, self.found = program, wanted, tuple(found)
        versions = f"only version {', '.join(map(str, found))} was found" if found else "it was not found on PATH"
        super().__init__(
            f"{program} {wanted} or newer is needed, {versions}; "
            f"install the PostgreSQL client programs (Debian: postgresql-client-{wanted}) where this command runs"
        )


class ProgramFailed(BackupError):
    """pg_dump or pg_restore ended with an error."""

    def __init__(self, program: str, said: str) -> None:
        self.program, self.said = program, said
        super().__init__(f"{program} failed: {said}")


class TargetNotEmpty(BackupError):
    """A restore goes only into an empty place; the target is as it was."""

    permanent = True

    def __init__(self, where: str, found: str) -> None:
        self.where, self.found = where, found
        super().__init__(f"{where} is not empty ({found}); restore into an empty place. Nothing was changed")


class WrongDatabase(BackupError):
    """The dump is of another kind of database than the target."""

    permanent = True

    def __init__(self, kind: str, target: str) -> None:
        self.kind, self.target = kind, target
        super().__init__(
            f"the backup holds a {kind} database, the target is {target}; give an address of the same kind"
        )


class NoRoomToRehearse(BackupError):
    """The rehearsal cannot have a database of its own, or not enough disk."""

    permanent = True

    def __init__(self, problem: str, cure: str) -> None:
        self.problem, self.cure = problem, cure
        super().__init__(f"the rehearsal has no place: {problem}; {cure}")


class RestoreDiffers(BackupError):
    """What was restored is not what was backed up."""

    permanent = True

    def __init__(self, differences: Sequence[str]) -> None:
        self.differences = tuple(differences)
        super().__init__(f"what was restored differs: {'; '.join(differences[:5])}")
