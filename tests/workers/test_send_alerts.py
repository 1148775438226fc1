"""Alerts as they arrive: at a web hook and in a mailbox of our own, and what happens when one of them fails."""

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from storage_core import alerts
from storage_core.alert_telling import Owed
from storage_core.alerts import Problem
from storage_core.db import session_scope, utc_now
from tests.services import free_port
from workers.alerting import SENDING_KEY, tell
from workers.queue import make_broker
from workers.send_alerts import send_owed, through_apprise, written

NOW = utc_now()

# apprise loads a module of Python 3.11 that 3.13 no longer has; it copes without it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Hook:
    """A web hook that keeps what it gets and answers as it is told."""

    def __init__(self):
        self.messages, self.status = [], 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.messages.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/hook/secret-path"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Mailbox(Message):
    def __init__(self):
        super().__init__()
        self.mails = []

    def handle_message(self, message):
        self.mails.append(message)


@pytest.fixture
def database_url(sqlite_url):
    """What differs between databases is tested where the SQL is."""
    return sqlite_url


@pytest.fixture(scope="module")
def one_hook():
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def hook(one_hook):
    one_hook.messages.clear()
    one_hook.status = 200
    return one_hook


@contextmanager
def mailbox():
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=60, loop=asyncio.new_event_loop())
    controller.start()
    try:
        yield box, f"mailto://127.0.0.1:{port}?from=lab@lab.example&to=ops@lab.example&mode=insecure"
    finally:
        controller.stop()


def raise_(engine, key="disk:/", kind="disk", message="The disk is 91% full", now=None):
    with session_scope(engine) as session:
        alerts.raise_(session, key, kind=kind, problem=Problem(message), now=now)


def resolve(engine, key="disk:/"):
    with session_scope(engine) as session:
        assert alerts.resolve(session, key)


def open_kinds(engine):
    with session_scope(engine) as session:
        return [one.kind for one in alerts.open_alerts(session)]


def test_a_hook_and_a_mailbox_get_the_alert_once_and_its_end_once(engine, settings, hook):
    with mailbox() as (box, mail_url):
        settings = replace(settings, alert_urls=(hook.url, mail_url))
        for _ in range(3):
            raise_(engine)
            send_owed(engine, settings)
        resolve(engine)
        for _ in range(2):
            send_owed(engine, settings)
    assert [(one["title"], one["type"]) for one in hook.messages] == [
        ("coin-hts: 1 alert", "failure"),
        ("coin-hts: 1 resolved", "success"),
    ]
    assert hook.messages[0]["message"].startswith("ALERT: The disk is 91% full\n")
    assert "RESOLVED after 0 min: The disk is 91% full" in hook.messages[1]["message"]
    assert [mail["Subject"] for mail in box.mails] == ["coin-hts: 1 alert", "coin-hts: 1 resolved"]
    assert "The disk is 91% full" in box.mails[0].as_string()
    assert box.mails[0]["To"] == "ops@lab.example"


def test_what_happens_at_once_is_one_message(engine, settings, hook):
    for number in range(30):
        raise_(engine, key=f"backtest:{number}", kind="backtest", message=f"Backtest {number} failed\nin every attempt")
    send_owed(engine, replace(settings, alert_urls=(hook.url,)))
    (message,) = hook.messages
    assert message["title"] == "coin-hts: 30 alerts"
    lines = message["message"].splitlines()
    assert "ALERT: Backtest 0 failed in every attempt" in lines[:2]
    assert lines[20] == "... and 10 more: see Operations, Alerts"


def test_a_channel_that_fails_is_reported_through_the_other_and_tried_again(engine, settings, hook):
    away = f"json://127.0.0.1:{free_port()}/gone"
    settings = replace(settings, alert_urls=(away, hook.url))
    raise_(engine, now=NOW)
    send_owed(engine, settings)
    assert sorted(open_kinds(engine)) == ["channel", "disk"]
    send_owed(engine, settings)
    said = "\n".join(one["message"] for one in hook.messages)
    assert "ALERT: The disk is 91% full" in said
    assert f"The channel {away.replace('/gone', '')}/… does not take messages" in said
    assert "Connection error" in said
    count = len(hook.messages)
    send_owed(engine, settings)
    assert len(hook.messages) == count, "the one that fails rests, the other has heard everything"


def test_a_channel_that_recovers_gets_what_it_missed(engine, settings, hook):
    settings = replace(settings, alert_urls=(hook.url,))
    raise_(engine)
    hook.status = 500
    assert send_owed(engine, settings) == 0
    with session_scope(engine) as session:
        (failing,) = alerts.open_alerts(session, kind="channel")
        assert "secret-path" not in failing.message
        failing.last_at -= timedelta(minutes=1)  # as if it had rested
        (disk,) = alerts.open_alerts(session, kind="disk")
        assert disk.told_at is None
        assert "500" in disk.send_error
    hook.status = 200
    assert send_owed(engine, settings) == 1
    assert [one["title"] for one in hook.messages] == ["coin-hts: 1 alert"] * 2
    assert open_kinds(engine) == ["disk"]


def test_a_crash_before_it_is_noted_sends_it_again(engine, settings, hook):
    settings = replace(settings, alert_urls=(hook.url,))
    raise_(engine)

    def crash_after(url, note):
        through_apprise(url, note)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_owed(engine, settings, deliver=crash_after)
    assert send_owed(engine, settings) == 1
    assert len(hook.messages) == 2


def test_no_transaction_is_open_while_a_message_is_on_its_way(engine, settings, hook):
    raise_(engine)

    def deliver(url, note):
        raise_(engine, key="disk:/other")  # would wait for a transaction of the sender
        return through_apprise(url, note)

    assert send_owed(engine, replace(settings, alert_urls=(hook.url,)), deliver=deliver) == 1


def test_an_address_that_apprise_does_not_know_is_reported(engine, settings):
    raise_(engine)
    assert send_owed(engine, replace(settings, alert_urls=("carrierpigeon://coop",))) == 0
    with session_scope(engine) as session:
        (failing,) = alerts.open_alerts(session, kind="channel")
    assert failing.message.endswith("this is not an address that apprise knows")


def test_a_test_message_says_so():
    note = written([Owed(1, "open", "test", "This is a test, asked for by ada", NOW, None)], now=NOW)
    assert (note.title, note.tone) == ("coin-hts: test message", "info")
    assert note.body.startswith("This is a test, asked for by ada\n")


def test_of_two_clocks_one_sends(engine, settings, hook, broker_url):
    settings = replace(settings, alert_urls=(hook.url,))
    broker = make_broker(broker_url)
    raise_(engine)
    broker.client.set(SENDING_KEY, "1")
    tell(engine, settings, broker)
    assert hook.messages == []
    broker.client.delete(SENDING_KEY)
    tell(engine, settings, broker)
    assert len(hook.messages) == 1
    assert not broker.client.exists(SENDING_KEY)
    broker.close()


def test_without_a_queue_server_alerts_are_sent_all_the_more(engine, settings, hook, tmp_path):
    broker = make_broker(f"unix://{tmp_path}/nobody.sock")
    raise_(engine)
    tell(engine, replace(settings, alert_urls=(hook.url,)), broker)
    assert len(hook.messages) == 1
    broker.close()
