"""What a worker process does once at its start.

`dramatiq workers.boot:boot` runs backtests, `dramatiq workers.boot:boot_io` runs jobs; each is called in each process.
"""

import time

import dramatiq
import dramatiq.worker
import structlog

from storage_core.logs import configure_logs
from storage_core.processes import Kind
from storage_core.settings import Settings
from workers.child import die_with_parent
from workers.queue import make_broker
from workers.runtime import Runtime, set_runtime

log = structlog.get_logger("worker")

RECONNECT_SECONDS = 0.5


class Lifecycle(dramatiq.Middleware):
    """Ties a worker process to its master and hands running work back when it is told to stop."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Ask the running work to stop; its row goes back to the queue."""
        Runtime.current().stopping.set()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Close the database connections."""
        Runtime.current().close()


class IoLifecycle(Lifecycle):
    """The same for a process that runs jobs."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Nothing to load: the first job of a kind loads what it needs."""
        Runtime.current().follow()
        log.info("ready")


class ComputeLifecycle(Lifecycle):
    """The same for a process that runs backtests, which has much to load first."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Load every kernel before the first message is taken."""
        from engine.warm_up import warm_up

        started = time.perf_counter()
        warm_up()
        warm_up_arrow()
        runtime = Runtime.current()
        runtime.catalog()
        runtime.follow()
        log.info("ready", warm_up_seconds=round(time.perf_counter() - started, 2), code=runtime.shipped_code[""][:12])


def warm_up_arrow() -> None:
    """Write and read a small table: the first one loads libraries for a second or more."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": pa.array(np.arange(3)), "s": pa.array(["a", "b", "a"])}), sink, compression="zstd")
    pq.read_table(pa.BufferReader(sink.getvalue()), filters=[("s", "=", "a")])


def boot() -> None:
    """A process that runs backtests: set it up, and declare the actors."""
    _set_up("worker", ComputeLifecycle())
    import workers.actors  # noqa: F401  declares the actors on the broker just set


def boot_io() -> None:
    """A process that runs jobs, which mostly wait for the network: it loads no kernels."""
    _set_up("worker-io", IoLifecycle())
    import workers.io_actors  # noqa: F401  declares the actor on the broker just set


def _set_up(process: Kind, lifecycle: Lifecycle) -> None:
    """Build this process's settings, database engine and broker."""
    die_with_parent()  # a worker whose master was killed would otherwise work on for ever
    settings = Settings.from_env()
    configure_logs(settings.log_format, process=process)
    broker = make_broker(settings.broker_url)
    broker.add_middleware(lifecycle)
    dramatiq.set_broker(broker)
    # After a restart of the queue server dramatiq waits 3 s to fetch and 5 s to acknowledge; constants of its module.
    dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = RECONNECT_SECONDS
    dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = RECONNECT_SECONDS  # type: ignore[assignment]
    runtime = Runtime(settings, broker, kind=process)
    _ = runtime.engine  # made before the threads that share it
    set_runtime(runtime)
