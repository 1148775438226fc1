"""The settings: the one place that reads environment variables; `variables` is the list of them."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from storage_core import access, modes
from storage_core.alert_channels import alert_urls
from storage_core.errors import SettingsError
from storage_core.object_settings import S3, S3Access, endpoint_url, storage_uri
from storage_core.variables import SECRET_VARIABLES, VARIABLES

LOG_FORMATS = ("console", "json")
METRICS_ACCESS = ("admin", "open")
SHORTEST_SECRET = 16
LONGEST_SOCKET_PATH = 99  # sun_path holds 108 bytes on Linux, 104 on macOS, with the closing zero


_DEFAULTS = {variable.name: variable.default for variable in VARIABLES}
_PLAIN_FILE = re.compile(r"sqlite:///[A-Za-z0-9_./-]+")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the whole product is told from outside. `data_dir` is absolute; secrets are kept out of the repr."""

    data_dir: Path
    secret_key: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    timezone: str = "UTC"
    auth: str = "password"
    trusted_proxies: int = 0
    log_format: str = "console"
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    metrics_access: str = "admin"
    api_rate_limit: str | None = "6000 per minute"
    cors_origins: tuple[str, ...] = ()
    strategies_dir: Path | None = None
    worker_processes: int = 1
    backtest_time_limit: int = 3600
    results_uri: str | None = None
    backup_uri: str | None = None
    results_cache_mb: int = 1024
    result_storage_mode: str = modes.PARQUET_ONLY
    parquet_compression: str = modes.COMPRESSIONS[0]
    upbit_url: str = "https://api.upbit.com"
    binance_url: str = "https://api.binance.com"
    s3: S3Access = field(default_factory=S3Access)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ` (None: `os.environ`, after ./.env, which never overrides).

        Creates the data folder and, when none is given, the secret key in it. Raises SettingsError.
        """
        values = _Values(_process_environment() if environ is None else environ)
        data_dir = _data_dir(values.get("DATA_DIR"))
        return cls(
            data_dir=data_dir,
            secret_key=_secret_key(values.get("SECRET_KEY"), data_dir),
            database_url=_database_url(values.get("DATABASE_URL"), data_dir),
            redis_url=_redis_url(values.get("REDIS_URL")),
            host=_host(values.get("HOST")),
            port=_whole_number("PORT", values.get("PORT"), 1, 65535),
            timezone=_timezone(values.get("TIMEZONE")),
            auth=access.auth_mode(values.get("AUTH"), host=values.get("HOST"), proxies=values.get("TRUSTED_PROXIES")),
            trusted_proxies=_whole_number("TRUSTED_PROXIES", values.get("TRUSTED_PROXIES"), 0, 10),
            log_format=_one_of("LOG_FORMAT", values.get("LOG_FORMAT"), LOG_FORMATS),
            alert_urls=alert_urls(values.get("ALERT_URLS")),
            metrics_access=_one_of("METRICS_ACCESS", values.get("METRICS_ACCESS"), METRICS_ACCESS),
            api_rate_limit=_rate_limit(values.get("API_RATE_LIMIT")),
            cors_origins=_origins(values.get("CORS_ORIGINS")),
            strategies_dir=_strategies_dir(values.get("STRATEGIES_DIR"), data_dir),
            worker_processes=_whole_number(
                "WORKER_PROCESSES", values.get("WORKER_PROCESSES") or str(os.cpu_count() or 1), 1, 256
            ),
            backtest_time_limit=_whole_number("BACKTEST_TIME_LIMIT", values.get("BACKTEST_TIME_LIMIT"), 1, 604_800),
            results_uri=_place("RESULTS_URI", values, data_dir),
            backup_uri=_place("BACKUP_URI", values, data_dir),
            results_cache_mb=_whole_number("RESULTS_CACHE_MB", values.get("RESULTS_CACHE_MB"), 1, 1_000_000),
            result_storage_mode=modes.storage_mode(values.get("RESULT_STORAGE_MODE")),
            parquet_compression=modes.compression(values.get("PARQUET_COMPRESSION")),
            upbit_url=_web_address("UPBIT_URL", values.get("UPBIT_URL")),
            binance_url=_web_address("BINANCE_URL", values.get("BINANCE_URL")),
            s3=_s3_access(values),
        )

    @property
    def results_bucket(self) -> str | None:
        """s3://bucket[/prefix] where results, bars and files that people send lie in S3; None: in folders."""
        return self.results_uri if self.results_uri is not None and self.results_uri.startswith(S3) else None

    @property
    def results_dir(self) -> Path:
        """Folder of the stored results; with results in S3, of those being written."""
        if self.results_uri is None or self.results_bucket is not None:
            return self.data_dir / "results"
        return Path(self.results_uri)

    @property
    def backups_uri(self) -> str:
        """Where backups are kept: a folder, or s3://bucket[/prefix]."""
        return self.backup_uri or str(self.data_dir / "backups")

    @property
    def bars_dir(self) -> Path:
        """Folder of the bars."""
        return self.data_dir / "bars"

    @property
    def socket_path(self) -> Path:
        """Socket of the embedded queue server; in the temp folder when the data folder's name is too long for one."""
        path = self.data_dir / "valkey.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"coin-hts-{name}" / "valkey.sock"

    @property
    def broker_url(self) -> str:
        """Where the queue is: REDIS_URL, or the socket of the embedded server."""
        return self.redis_url or f"unix://{self.socket_path}"


class _Values:
    """Looks a variable up: itself, then the file that NAME_FILE names, then the default."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str:
        value = self._environ.get(name, "").strip()
        if name in SECRET_VARIABLES and (file := self._environ.get(f"{name}_FILE", "").strip()):
            if value:
                raise SettingsError(f"{name}_FILE", "given together with " + name, "only one of the two")
            value = _read_secret(f"{name}_FILE", Path(file))
        return value or _DEFAULTS[name]


def read_log_format(environ: Mapping[str, str] | None = None) -> str:
    """LOG_FORMAT alone, for a process that only starts others: the rest would load 10 MB. Raises SettingsError."""
    values = _Values(_process_environment() if environ is None else environ)
    return _one_of("LOG_FORMAT", values.get("LOG_FORMAT"), LOG_FORMATS)


def _process_environment() -> Mapping[str, str]:
    from dotenv import dotenv_values

    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**from_file, **os.environ}


def _read_secret(name: str, path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(name, f"{str(path)!r} ({error})", "a readable text file") from error
    if not value:
        raise SettingsError(name, f"{str(path)!r}, an empty file", "a file that holds the value")
    return value


def _data_dir(value: str) -> Path:
    path = Path(value).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError("DATA_DIR", f"{str(path)!r} ({error.strerror})", "a folder that can be created") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise SettingsError("DATA_DIR", f"{str(path)!r}, which is not writable", "a folder that can be written")
    return path.resolve()


def _strategies_dir(value: str, data_dir: Path) -> Path:
    path = Path(value.replace("{DATA_DIR}", str(data_dir))).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError("STRATEGIES_DIR", f"{str(path)!r} ({error.strerror})", "a folder") from error
    return path


def _secret_key(value: str, data_dir: Path) -> str:
    key = value or _kept_secret(data_dir / "secret_key")
    if len(key) < SHORTEST_SECRET:
        raise SettingsError("SECRET_KEY", f"{len(key)} characters long", f"at least {SHORTEST_SECRET} characters")
    return key


def _kept_secret(path: Path) -> str:
    """The key in `path`, made when missing. Two processes that start at once agree: the first link wins."""
    if not path.exists():
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secret_key.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(file.fileno())
            os.link(name, path)
        except FileExistsError:
            pass  # another process was faster: its key counts
        finally:
            Path(name).unlink()
    return _read_secret("SECRET_KEY", path)


def _database_url(value: str, data_dir: Path) -> str:
    value = value.replace("{DATA_DIR}", str(data_dir)) if value == _DEFAULTS["DATABASE_URL"] else value
    file = f"sqlite:///{Path(value.removeprefix('sqlite:///')).absolute()}"
    if _PLAIN_FILE.fullmatch(value) and _PLAIN_FILE.fullmatch(file):
        return file  # the usual one; SQLAlchemy, which reads the others, would be half of the supervisor
    return database_address("DATABASE_URL", value)


def database_address(name: str, value: str) -> str:
    """The address of a database, as SQLAlchemy takes it, with the driver and the whole path of a file.

    Raises SettingsError, which says `name`: it is no address, or that of another kind of database.
    """
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    allowed = "postgresql://user:password@host/name or sqlite:///file"
    try:
        url = make_url(value.replace("postgres://", "postgresql://", 1) if value.startswith("postgres://") else value)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(name, "not an address (not shown: it may hold a password)", allowed) from error
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:"):
            raise SettingsError(name, repr(value), "a SQLite file, as several processes share it")
        return URL.create("sqlite", database=str(Path(str(url.database)).absolute())).render_as_string()
    raise SettingsError(name, f"of the kind {url.drivername!r}", allowed)


def _redis_url(value: str) -> str | None:
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsError(
            "REDIS_URL",
            "an address of another kind (not shown: it may hold a password)",
            "redis://, rediss://, unix://",
        )
    return value or None


def _place(name: str, values: _Values, data_dir: Path) -> str:
    value = values.get(name)
    return storage_uri(name, value.replace("{DATA_DIR}", str(data_dir)) if value == _DEFAULTS[name] else value)


def _s3_access(values: _Values) -> S3Access:
    return S3Access(
        endpoint_url=endpoint_url(values.get("S3_ENDPOINT_URL")),
        region=values.get("AWS_DEFAULT_REGION") or None,
        access_key_id=values.get("AWS_ACCESS_KEY_ID") or None,
        secret_access_key=values.get("AWS_SECRET_ACCESS_KEY") or None,
        session_token=values.get("AWS_SESSION_TOKEN") or None,
    )


def _host(value: str) -> str:
    if any(character.isspace() or character == "/" for character in value):
        raise SettingsError("HOST", repr(value), "a host name or an address such as 127.0.0.1")
    return value


def _rate_limit(value: str) -> str | None:
    if value.lower() == "none":
        return None
    if not re.fullmatch(r"[1-9]\d{0,8} per (second|minute|hour|day)", value):
        raise SettingsError("API_RATE_LIMIT", repr(value), "such as 6000 per minute, or none")
    return value


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in value.split(",") if part.strip())
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin):
            raise SettingsError("CORS_ORIGINS", repr(origin), "origins such as https://lab.example, without a path")
    return origins


def _web_address(name: str, value: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/-]*)?", value):
        raise SettingsError(name, "an address of another kind", "https://host or http://host:port, with a path at most")
    return value.rstrip("/")


def _whole_number(name: str, value: str, lowest: int, highest: int) -> int:
    allowed = f"a whole number from {lowest} to {highest}"
    try:
        number = int(value)
    except ValueError:
        raise SettingsError(name, repr(value), allowed) from None
    if not lowest <= number <= highest:
        raise SettingsError(name, repr(value), allowed)
    return number


def _timezone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):
        from difflib import get_close_matches

        near = get_close_matches(value, available_timezones(), n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise SettingsError("TIMEZONE", repr(value) + hint, "a name such as UTC, Asia/Seoul or Europe/Berlin") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise SettingsError(name, repr(value), " or ".join(allowed))
    return value
