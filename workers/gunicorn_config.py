"""How gunicorn runs the web: `gunicorn --config python:workers.gunicorn_config wsgi:app`.

One log format, whatever speaks; and when there are several web processes, a folder in which each keeps its counts of
requests, so that /metrics tells those of all of them whichever one answers.
"""

import gc
import os
import shutil
import tempfile
from typing import Any

from gunicorn.glogging import Logger

from storage_core.logs import configure_logs
from storage_core.settings import read_log_format

COUNTS = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client looks when it is imported

logger_class = "workers.gunicorn_config.WebLog"
# Headers of a proxy count when the setting TRUSTED_PROXIES says so, in the application, and not by themselves here.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
timeout = 60  # seconds to load the application as well, which on a machine that has much to do takes more than usual


class WebLog(Logger):  # type: ignore[misc]  # gunicorn has no annotations
    """Gunicorn's own words in our format. The lines of requests are written by the application, which knows more."""

    def setup(self, cfg: Any) -> None:
        """Configure all logging of this process and of those that it starts."""
        super().setup(cfg)
        configure_logs(read_log_format(), process="web")
        for own in (self.error_log, self.access_log):
            own.handlers = []
            own.propagate = True

    def reopen_files(self) -> None:
        """There are no files: standard error belongs to whoever started us."""


def on_starting(server: Any) -> None:
    """Before the web processes start: give them an empty folder for their counts, if there is more than one."""
    if server.cfg.workers > 1:
        os.environ[COUNTS] = server.counts_folder = tempfile.mkdtemp(prefix="coin-hts-requests-")


def on_exit(server: Any) -> None:
    """After the last one has stopped."""
    if folder := getattr(server, "counts_folder", None):
        shutil.rmtree(folder, ignore_errors=True)


def pre_fork(server: Any, worker: Any) -> None:
    """Before each fork: keep the collector of the new process from writing into what the two share, 3 MB of it.

    The application is loaded after the fork. Loaded before, all of it would be shared at first; but whatever a request
    touches is copied then, and the master never needs its half: 15 MB after the first page, and more with each other.
    """
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """The application is loaded: a collection need not look at it again."""
    gc.collect()
    gc.freeze()
