"""What is left to a thread is done in order, whatever fails, forks or ends."""

import os
import queue
import subprocess
import sys
import textwrap
import threading
from multiprocessing import get_all_start_methods, get_context
from types import ModuleType

import pytest

from django_ai.automation import background as module
from django_ai.automation.background import Background

BEGINNING = """
import os, sys, threading
from django_ai.automation import background as module

background = module.Background(lambda calls: [call() for call in calls])
parent, go_on = os.getpid(), threading.Event()
"""


def call_all(calls):
    for call in calls:
        call()


@pytest.fixture
def background():
    return Background(call_all)


@pytest.fixture
def stuck(background):
    """A thread that is kept from its work until this is called."""
    begun, go_on = threading.Event(), threading.Event()
    assert background.take(lambda: begun.set() or go_on.wait())
    assert begun.wait(60)
    yield go_on.set
    go_on.set()
    assert background.flush()


def test_what_is_taken_is_done_in_order_by_one_other_thread(background):
    done = []
    for number in range(100):
        assert background.take(lambda number=number: done.append((number, threading.get_ident())))
    assert background.flush()
    assert [number for number, _ in done] == list(range(100))
    assert len({thread for _, thread in done} - {threading.get_ident()}) == 1


def test_what_comes_within_a_moment_is_done_together(monkeypatch):
    moment, done = threading.Event(), []
    monkeypatch.setattr(module, "_pause", lambda: moment.wait(10))
    background = Background(done.append)
    assert all([background.take("first"), background.take("second")])
    moment.set()
    assert background.flush()
    assert done == [["first", "second"]]


def test_what_fails_is_logged_and_the_next_is_done(background, caplog):
    done = []

    def fail():
        raise ValueError("no luck")

    assert background.take(fail)
    assert background.flush()
    assert background.take(lambda: done.append(1))
    assert background.flush()
    assert done == [1]
    assert "no luck" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_ended_has_a_successor(background):
    threads, done = queue.SimpleQueue(), []

    def end():
        threads.put(threading.current_thread())
        raise SystemExit

    assert background.take(end)
    threads.get(timeout=60).join(60)
    assert not background.flush()
    assert background.take(lambda: done.append(1))
    assert background.flush()
    assert done == [1]


def test_who_flushes_waits_for_so_long_and_no_longer(background, stuck):
    assert not background.flush(seconds=0)
    stuck()
    assert background.flush()


def test_there_is_nothing_to_wait_for_where_nothing_was_taken(background):
    assert background.flush(seconds=0)


def test_a_thread_that_cannot_keep_up_is_given_no_more(background, stuck, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    assert [background.take(dict) for _ in range(5)] == [True, True, True, False, False]


def test_a_process_that_has_no_thread_to_give_does_it_itself(background, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not background.take(dict)


@pytest.mark.parametrize(
    ("options", "run"), [({}, False), ({"enable-threads": True}, True), ({"threads": b"2"}, True), (None, True)]
)
def test_under_uwsgi_threads_run_where_it_is_told_to(monkeypatch, options, run):
    if options is not None:
        uwsgi = ModuleType("uwsgi")
        uwsgi.opt = options
        monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    assert module.threads_run() == run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Nothing forks here.")
def test_a_forked_process_begins_anew():
    # What the parent has not done is the parent's: the child would do it a second time.
    assert _output("""
        background.take(go_on.wait)
        background.take(lambda: print("left", os.getpid() == parent))
        child = os.fork()
        if not child:
            background.take(lambda: print("new", os.getpid() == parent))
            sys.exit(not background.flush())
        print("child", os.waitpid(child, 0)[1])
        go_on.set()
    """) == ["new False", "child 0", "left True"]


@pytest.mark.parametrize("method", [method for method in ("fork", "spawn") if method in get_all_start_methods()])
def test_a_process_of_multiprocessing_does_what_it_was_given(tmp_path, method):
    process = get_context(method).Process(target=_write_twice, args=(tmp_path / "done",))
    process.start()
    process.join(60)
    assert (tmp_path / "done").read_text() == "12"


def _write_twice(path):
    def write(numbers):
        with path.open("a") as file:
            file.write("".join(map(str, numbers)))

    background = Background(write)
    background.take(1)
    background.take(2)


def test_a_process_that_ends_does_first_what_it_was_given():
    assert _output("""
        background.take(lambda: go_on.wait(0.05))
        background.take(lambda: print("done"))
    """) == ["done"]


def test_a_process_that_ends_waits_for_so_long_and_says_what_it_takes_along():
    assert _output("""
        module.FLUSH_SECONDS, module.logger.warning = 0, lambda *said: print(said[0].split()[-1], said[1])
        begun = threading.Event()
        background.take(lambda: begun.set() or go_on.wait())
        begun.wait()
        background.take(lambda: print("done"))
    """) == ["sent. 2"]


def _output(code):
    program = BEGINNING + textwrap.dedent(code)
    ended = subprocess.run(
        [sys.executable, "-u", "-c", program], capture_output=True, text=True, timeout=180, check=True
    )
    return ended.stdout.split("\n")[:-1]
