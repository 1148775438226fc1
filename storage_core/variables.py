"""THE list of environment variables: names, defaults, and what they do. `settings` reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: what it is called, what it is when not given, what it does."""

    name: str
    default: str
    help: str


VARIABLES: tuple[Variable, ...] = (
    Variable("HOST", "127.0.0.1", "Address the web server listens on."),
    Variable("PORT", "8000", "Port the web server listens on, 1 to 65535."),
    Variable("DATA_DIR", "./data", "Folder for everything the product writes; created when missing."),
    Variable(
        "DATABASE_URL",
        "sqlite:///{DATA_DIR}/coin-hts.sqlite3",
        "Database: postgresql://user:password@host/name or sqlite:///file. "
        "DATABASE_URL_FILE names a file that holds it.",
    ),
    Variable(
        "REDIS_URL",
        "",
        "Queue server: redis://, rediss:// or unix://. Empty: the embedded one. "
        "REDIS_URL_FILE names a file that holds it.",
    ),
    Variable("TIMEZONE", "UTC", "Time zone of dates people enter and see, e.g. Asia/Seoul."),
    Variable(
        "SECRET_KEY",
        "",
        "Signs cookies and links, at least 16 characters. Empty: made once and kept in DATA_DIR/secret_key. "
        "SECRET_KEY_FILE names a file that holds it.",
    ),
    Variable(
        "AUTH",
        "password",
        "password: people log in. none: everybody is an admin, only with HOST on a loopback address and only for "
        "requests from this machine.",
    ),
    Variable(
        "TRUSTED_PROXIES",
        "0",
        "How many proxies stand before the web server and set X-Forwarded-For, -Proto and -Host, 0 to 10. "
        "0: these headers count for nothing.",
    ),
    Variable("LOG_FORMAT", "console", "console for people, json for machines."),
    Variable(
        "ALERT_URLS",
        "",
        "Where alerts are sent: addresses as apprise has them (mailto://, slack://, json://host/path, 100 more), "
        "apart by spaces or commas. Empty: only shown on the page. ALERT_URLS_FILE names a file that holds them.",
    ),
    Variable(
        "METRICS_ACCESS",
        "admin",
        "Who may read /metrics: admin (an admin's session or token), or open (everybody who reaches the port).",
    ),
    Variable(
        "API_RATE_LIMIT",
        "6000 per minute",
        "Requests to the API that one token or person may send: N per second, minute, hour or day; or none.",
    ),
    Variable(
        "CORS_ORIGINS",
        "",
        "Web sites whose scripts may call the API with a token: https://host, separated by commas. Empty: none.",
    ),
    Variable(
        "STRATEGIES_DIR",
        "{DATA_DIR}/strategies",
        "Folder of your own strategies, one Python file each; created when missing. Only workers load them.",
    ),
    Variable("WORKER_PROCESSES", "", "Worker processes, 1 to 256. Empty: one per processor."),
    Variable(
        "BACKTEST_TIME_LIMIT",
        "3600",
        "Seconds one attempt of a backtest may take, 1 to 604800; then it fails with the code time_limit.",
    ),
    Variable("RESULTS_URI", "{DATA_DIR}/results", "Where results are kept: a folder, or s3://bucket/prefix."),
    Variable(
        "BACKUP_URI",
        "{DATA_DIR}/backups",
        "Where backups are kept: a folder, or s3://bucket/prefix. Choose another disk, or another place.",
    ),
    Variable(
        "RESULTS_CACHE_MB",
        "1024",
        "With results in S3: megabytes of them kept under DATA_DIR/cache for reading, 1 to 1000000.",
    ),
    Variable(
        "RESULT_STORAGE_MODE",
        "parquet-only",
        "How results are stored: parquet-only, dual-write (legacy JSON too) or json-only. "
        "postgres-only is an old name of parquet-only.",
    ),
    Variable("PARQUET_COMPRESSION", "zstd", "How the Parquet files of results are packed: zstd or snappy."),
    Variable("UPBIT_URL", "https://api.upbit.com", "Where bars of Upbit are fetched; for a proxy of your own."),
    Variable("BINANCE_URL", "https://api.binance.com", "Where bars of Binance are fetched; for a proxy of your own."),
    Variable("S3_ENDPOINT_URL", "", "Address of the S3 server, https:// or http://. Empty: Amazon's own."),
    Variable("AWS_DEFAULT_REGION", "", "Region of the bucket, e.g. ap-northeast-2. Empty: what boto3 finds."),
    Variable(
        "AWS_ACCESS_KEY_ID",
        "",
        "Key of an S3 account. Empty: what boto3 finds (a profile, the role of the machine). "
        "AWS_ACCESS_KEY_ID_FILE names a file that holds it.",
    ),
    Variable("AWS_SECRET_ACCESS_KEY", "", "Secret of that key. AWS_SECRET_ACCESS_KEY_FILE names a file that holds it."),
    Variable("AWS_SESSION_TOKEN", "", "Token of a temporary key. AWS_SESSION_TOKEN_FILE names a file that holds it."),
)
AWS_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SECRET_VARIABLES = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALERT_URLS", *AWS_SECRETS)
