"""The supervisor's child processes, with real processes."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

import workers.child
from workers.child import Child


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def lock_fd(tmp_path):
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def make(code, lock_fd):
    return Child("child", [sys.executable, "-c", code], env=dict(os.environ), lock_fd=lock_fd)


def test_a_dead_child_is_started_again(lock_fd):
    child = make("import time; time.sleep(60)", lock_fd)
    child.start()
    first = child.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not child.is_alive())

    def alive_again():
        child.keep_alive()
        return child.pid not in (None, first)

    wait_for(alive_again)
    child.terminate()
    child.wait(5)
    assert child.pid is None


def test_a_child_that_keeps_dying_is_not_started_in_a_tight_loop(lock_fd, monkeypatch):
    now, started = 1_000.0, []
    monkeypatch.setattr(workers.child, "time", SimpleNamespace(monotonic=lambda: now))
    child = make("import time; time.sleep(600)", lock_fd)
    while now < 1_020:
        child.keep_alive()
        if child.is_alive():
            started.append(now - 1_000)
            os.kill(child.pid, signal.SIGKILL)
            wait_for(lambda: not child.is_alive())
        now += 0.5
    child.wait(5)
    assert started == [0, 1.5, 4, 8.5, 17]  # pauses of 1, 2, 4 and 8 s from the moment its death is seen


def test_what_does_not_stop_is_killed_with_all_it_started(lock_fd, tmp_path):
    ready = tmp_path / "ready"
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(ready)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    child = make(code, lock_fd)
    child.start()
    wait_for(lambda: ready.exists() and ready.read_text())
    grandchild = int(ready.read_text())
    child.terminate()
    child.wait(0.3)
    assert not child.is_alive()
    wait_for(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_children_die_when_the_supervisor_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    code = (
        "import os, sys, time; from workers.child import Child;"
        f"fd = os.open({str(tmp_path / 'lock')!r}, os.O_RDWR | os.O_CREAT);"
        "c = Child('c', [sys.executable, '-c', 'import time; time.sleep(60)'], env=dict(os.environ), lock_fd=fd);"
        f"c.start(); open({str(pid_file)!r}, 'w').write(str(c.pid)); time.sleep(60)"
    )
    parent = psutil.Popen([sys.executable, "-c", code])
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    parent.kill()
    parent.wait()
    child = int(pid_file.read_text())
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")
    assert not parent.is_running()
