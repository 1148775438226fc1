"""The whole product as a person starts it: `python -m workers.supervisor`, with everything that it starts."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from tests.services import free_port, wait_for

ROOT = Path(__file__).parents[1]


class Product:
    """A running copy on a port and a data folder of its own."""

    def __init__(self, data_dir: Path, port: int | None = None, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.output = ""
        self.environment = environment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def setup_link(self) -> str:
        return re.search(r"http://\S+/setup\?token=\S+", self.output).group()

    def start(self, *, seconds: float = 120) -> "Product":
        self.launch()
        wait_for(lambda: "coin-hts runs on" in self.output or self.process.poll() is not None, seconds=seconds)
        assert self.process.poll() is None, self.output
        return self

    def launch(self) -> None:
        env = {
            **os.environ,
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers.supervisor"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output += line

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def family(self) -> list[psutil.Process]:
        """Every process of this copy, whoever its parent is by now."""
        folder = str(self.data_dir)
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DATA_DIR") == folder or folder in " ".join(process.cmdline()):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return [process for process in found if process.pid != os.getpid()]

    def find(self, part: str) -> list[psutil.Process]:
        """Its living processes with `part` in their command line, oldest first."""
        found = []
        for process in self.family():
            try:
                if part in " ".join(process.cmdline()):
                    found.append((process.create_time(), process.pid, process))
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return [process for _, _, process in sorted(found)]

    def press_ctrl_c(self, *, seconds: float = 90) -> int:
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout=seconds)
        self.reader.join(timeout=5)
        return status

    def kill(self) -> None:
        """kill -9 of the supervisor alone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Whatever state it is in: nothing of it is left afterwards."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=90)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        deadline = time.monotonic() + 20
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in self.family():
            process.kill()
        self.process.stdout.close()
