"""The supervisor's child processes, with real processes."""

import os
import signal
import sys
import time

import psutil
import pytest

from workers.child import Child


def wait_for(condition, seconds=10.0):
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


def test_a_child_that_keeps_dying_is_not_started_in_a_tight_loop(lock_fd, tmp_path):
    marks = tmp_path / "marks"
    child = make(f"open({str(marks)!r}, 'a').write('x')", lock_fd)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        child.keep_alive()
        time.sleep(0.02)
    child.wait(5)
    assert 1 <= len(marks.read_text()) <= 2  # at 0 s and 1 s; the next pause is 2 s


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
