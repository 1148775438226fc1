"""The product as the Procfile says, every process by its own line: PostgreSQL, Valkey on a port, results in S3."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from storage_core.settings import S3Access
from tests.services import free_port, wait_for
from workers.valkey import valkey_argv, wait_until_ready

ROOT = Path(__file__).parents[1]


def procfile() -> dict[str, str]:
    """The command of each process, by its name."""
    lines = (line.partition(":") for line in (ROOT / "Procfile").read_text().splitlines() if line.strip())
    return {name: command.strip() for name, _, command in lines}


class Deployment:
    """Processes that share only the database, the queue and the results root: each has a data folder of its own."""

    def __init__(self, folder: Path, *, database_url: str, results_uri: str, s3: S3Access) -> None:
        self.folder, self.port, self.queue_port = folder, free_port(), free_port()
        self.processes: dict[str, subprocess.Popen] = {}
        self.shared = {
            "DATABASE_URL": database_url,
            "REDIS_URL": f"redis://127.0.0.1:{self.queue_port}/0",
            "RESULTS_URI": results_uri,
            "S3_ENDPOINT_URL": str(s3.endpoint_url),
            "AWS_ACCESS_KEY_ID": str(s3.access_key_id),
            "AWS_SECRET_ACCESS_KEY": str(s3.secret_access_key),
            "AWS_DEFAULT_REGION": str(s3.region),
            "SECRET_KEY": "a secret of this test only",
            "LOG_FORMAT": "json",
            "PORT": str(self.port),
            "WORKER_PROCESSES": "1",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, name: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **self.shared, "PATH": path, "FLASK_APP": "wsgi", "DATA_DIR": str(self.folder / name)}

    def run(self, command: str, *, text: str = "") -> str:
        """What a command prints that a person runs on the machine of the web processes."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=ROOT,
            env=self.environment("web"),
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start_queue(self) -> None:
        options = valkey_argv(socket=self.folder / "q.sock", folder=self.folder / "valkey")
        options[options.index("--port") + 1] = str(self.queue_port)
        self.processes["valkey"] = subprocess.Popen(options)
        wait_until_ready(self.shared["REDIS_URL"])

    def start(self, name: str, *, place: str | None = None) -> None:
        """Start the line `name` of the Procfile; `place` is the machine it stands for."""
        place = place or name
        with (self.folder / f"{place}.log").open("ab") as log:
            self.processes[place] = subprocess.Popen(
                ["sh", "-c", f"exec {procfile()[name]}"],
                cwd=ROOT,
                env=self.environment(place),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, place: str) -> str:
        return (self.folder / f"{place}.log").read_text(errors="replace")

    def stop(self, place: str) -> None:
        """SIGTERM to the main process, as a service manager does."""
        process = self.processes.pop(place)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def stop_all(self) -> None:
        for place in reversed(list(self.processes)):
            self.stop(place)

    def wait_for_log(self, place: str, text: str) -> None:
        wait_for(lambda: text in self.log(place), seconds=90, what=f"{text!r} in the log of {place}")
