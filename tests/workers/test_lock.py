"""One copy of the product for each folder and port."""

import os
import socket
import subprocess
import sys

import pytest

from workers.errors import CannotStart
from workers.lock import check_port, take_lock


def holder(tmp_path, seconds):
    """Another process that holds the lock for `seconds`, under its own process id."""
    code = (
        "import sys, time; from pathlib import Path; from workers.lock import take_lock;"
        f"take_lock(Path({str(tmp_path)!r}), say=print); print('held', flush=True); time.sleep({seconds})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_copy_on_the_same_folder_is_refused_at_once(tmp_path):
    with holder(tmp_path, 60) as process:
        said = []
        with pytest.raises(CannotStart, match=f"already running .* \\(process {process.pid}\\)"):
            take_lock(tmp_path, say=said.append)
        assert said == [], "it did not begin to wait"
        process.kill()


def test_the_leftovers_of_a_killed_run_are_waited_for(tmp_path, capsys):
    with holder(tmp_path, 60) as process:
        (tmp_path / "up.lock").write_text("4194304")  # its owner is a process that no longer lives
        with pytest.raises(CannotStart, match="earlier run"):
            take_lock(tmp_path, say=print, seconds=0.3)
        process.kill()
        process.wait()
        fd = take_lock(tmp_path, say=print, seconds=60)
    assert (tmp_path / "up.lock").read_text() == str(os.getpid())
    assert "Waiting for the processes of an earlier run" in capsys.readouterr().out
    os.close(fd)


def test_a_taken_port_is_named_with_a_way_out():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"Port {port} on 127.0.0.1 is taken.*PORT={port + 1} ./dev run"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)
