"""Functions of jobs, for tests: `KINDS` of a test names them."""

import threading

from storage_core.errors import NoBars
from storage_core.logs import current_request_id

entered, may_go_on = threading.Event(), threading.Event()


def answer(context):
    context.report(0.5, "half")
    return {"asked": dict(context.args), "before": dict(context.state)}


def who_asked(context):
    if not context.state:
        context.keep({"first": current_request_id()})
        raise OSError("the network went away")
    return {"asked_by": [context.state["first"], current_request_id()]}


def break_once(context):
    if not context.state:
        context.keep({"reached": 1})
        raise OSError("the network went away")
    return {"before": dict(context.state)}


def always_break(context):
    raise OSError("the network went away")


def refuse(context):
    raise NoBars("KRW-BTC", "1h", "nothing yet")


def run_until_stopped(context):
    context.keep({"reached": 5})
    entered.set()
    while True:
        context.pause(60)


def wait_and_finish(context):
    entered.set()
    assert may_go_on.wait(60)
    return {}
