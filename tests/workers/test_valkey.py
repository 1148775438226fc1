"""The embedded queue server."""

import subprocess

import pytest

from workers import valkey
from workers.errors import CannotStart
from workers.valkey import valkey_argv


def test_the_server_of_the_wheel_is_found(tmp_path):
    program = valkey_argv(socket=tmp_path / "s.sock", folder=tmp_path / "valkey")[0]
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert "erver v=" in said


def test_without_one_for_this_machine_it_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    with pytest.raises(CannotStart, match="set REDIS_URL"):
        valkey_argv(socket=tmp_path / "s.sock", folder=tmp_path / "valkey")
