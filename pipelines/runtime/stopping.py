"""Stopping a command: SIGINT, SIGTERM and SIGHUP end it and its child processes within five seconds.

Three things happen at a signal. The handler raises `Stopped` in the main thread, which unwinds. A watching thread is
woken through `signal.set_wakeup_fd`, also where the main thread is inside a long call of a library: it ends the child
processes, and ends this process where the main thread has not done so after `UNWIND_S`.
"""

from __future__ import annotations

import atexit
import contextvars
import ctypes
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import psutil

Result = TypeVar("Result")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARENT = "TUMSYN_PARENT"  # in the environment of a child process: the process with which it ends
UNWIND_S = 3.0  # after a signal, that the main thread has to leave by itself
CHILDREN_S = 2.5  # after a signal, that child processes have until SIGKILL
HEAD_START_S = 0.1  # before child processes are ended: the parent must know first that it is not a failure
ORPHAN_CHECK_S = 0.5


_received: list[int] = []  # the signal that has come to this process


class Stopped(BaseException):
    """A signal asks this process to stop. Not an `Exception`: what handles errors must not take it for one.

    Parameters
    ----------
    signum : int
        Number of the signal.
    """

    def __init__(self, signum: int = signal.SIGTERM) -> None:
        self.signum = signum
        super().__init__(f"stopped by {signal.Signals(signum).name}")


@contextmanager
def stoppable() -> Iterator[None]:
    """Let signals end the command that runs inside, with exit status 128 + signal.

    For the main thread of a process that has nothing else to do: the handlers stay until the process has ended.

    A process that was started with `child_environment` also ends, as by SIGTERM, when its parent is gone.
    """
    atexit.register(_ignore_signals)  # the first to be registered is the last to run
    watch = _Watch()
    try:
        yield
    except BaseException:
        # Also where the cleaning up of a library, met in the middle of its work, raised something in its place.
        if watch.received:
            watch.leave(watch.received)
        raise
    finally:
        watch.finish()


def check() -> None:
    """Raise `Stopped` where a signal has come, so that what followed from it is not told as an error."""
    if _received:
        raise Stopped(_received[0])


def child_environment() -> dict[str, str]:
    """Return variables that let a `tumsyn` process which is started from here end with this process."""
    return {PARENT: str(os.getpid())}


def call(work: Callable[[], Result], meanwhile: Callable[[], None] = lambda: None, interval_s: float = 1.0) -> Result:
    """Return what `work` returns, which is called in a thread of its own.

    Dagster replaces the signal handlers while it executes a run in the main thread: it then loses signals between
    steps, and takes one inside a step for a failure that its retry policy repeats. In another thread it does neither.

    Parameters
    ----------
    work : callable
    meanwhile : callable
        Called by this thread every `interval_s` seconds while the work goes on.
    """
    future: Future[Result] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    thread = threading.Thread(target=run, name=f"call of {work}", daemon=True)
    try:
        thread.start()  # which waits until the thread goes on, so that a signal may come meanwhile
        # Not `thread.join`: Python 3.11 takes a thread for ended when a signal interrupts that.
        while not wait([future], interval_s).done:
            meanwhile()
    except BaseException:
        _interrupt(thread, future)
        raise
    return future.result()


def _interrupt(thread: threading.Thread, future: Future[Result]) -> None:
    """Raise `Stopped` in another thread, and wait for its end for as long as the watching thread allows."""
    end = time.monotonic() + UNWIND_S
    while not future.done() and time.monotonic() < end:
        # It arrives between two steps of the interpreter; what caught it and went on gets it again.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stopped))
        wait([future], 1.0)


def _be_quiet() -> None:
    """Let libraries say nothing of what an exception in the middle of their work does to them: it is meant."""
    logging.disable()
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None


def _ignore_signals() -> None:
    """Ignore signals while Python clears its modules: it would restore the default handlers, which kill."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)


class _Watch:
    """Handlers of this process, and the thread that sees to it that a signal is obeyed in time."""

    def __init__(self) -> None:
        self.terminal = os.dup(2)  # Dagster redirects standard error while a run goes on
        self.parent = int(os.environ.pop(PARENT, "0"))
        self.is_child = bool(self.parent)
        self.children: list[psutil.Process] = []
        self.received: int | None = None
        self.began = 0.0
        self.has_told = False
        self.wakes, self.waked = os.pipe()
        for end in (self.wakes, self.waked):
            os.set_blocking(end, False)
        for name in SIGNALS:
            if not (name == signal.SIGHUP and signal.getsignal(name) == signal.SIG_IGN):  # nohup
                signal.signal(name, self.handle)
        signal.set_wakeup_fd(self.waked, warn_on_full_buffer=False)
        threading.Thread(target=self.watch, name="signals", daemon=True).start()

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """Raise `Stopped` at the first signal; those that follow must not disturb the end."""
        if self.received is None:
            self.received, self.began = signum, time.monotonic()
            _received.append(signum)
            self.children = _descendants()  # before their parents end, after which nobody knows whose they were
            _be_quiet()
            raise Stopped(signum)

    def watch(self) -> None:
        """Wait for a signal, or for the end of the parent process."""
        while True:
            select.select([self.wakes], [], [], ORPHAN_CHECK_S if self.parent else None)
            if self.parent and os.getppid() != self.parent:
                self.parent = 0
                os.kill(os.getpid(), signal.SIGTERM)
            for signum in self.woken():
                self.enforce(signum)

    def woken(self) -> list[int]:
        """Return the signals that arrived."""
        try:
            return [number for number in os.read(self.wakes, 64) if number in SIGNALS]
        except BlockingIOError:
            return []

    def enforce(self, signum: int) -> None:
        """End the child processes, then this one where it has not ended by itself."""
        self.began = self.began or time.monotonic()
        time.sleep(HEAD_START_S)
        self.end_children()
        time.sleep(self.left(UNWIND_S))
        self.end_at_once(signum)

    def leave(self, signum: int) -> None:
        """End in good order; the watching thread goes on until this process is gone."""
        self.end_children()
        self.tell(signum)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # closed, or a pipe that nobody reads any more
                continue
        if any(thread.name.startswith("call of ") for thread in threading.enumerate()):
            self.end_at_once(signum)  # Python must not tidy up under a thread that still works
        raise SystemExit(128 + signum)

    def end_at_once(self, signum: int) -> None:
        """End this process and its children without waiting for anything."""
        _kill([*self.children, *_descendants()])
        self.tell(signum)
        os._exit(128 + signum)

    def end_children(self) -> None:
        """End the child processes by SIGTERM, each of which ends its own, and by SIGKILL what is left after a while."""
        import psutil

        own = _descendants(only_children=True)
        for child in own:
            _send(child, signal.SIGTERM)
        psutil.wait_procs(own, timeout=self.left(CHILDREN_S))
        _kill([*self.children, *_descendants()])

    def left(self, seconds: float) -> float:
        """Return what is left of a time that began with the signal, in seconds."""
        return max(0.0, self.began + seconds - time.monotonic())

    def tell(self, signum: int) -> None:
        """Say once that the command was stopped and how to go on; in a child process its parent says so."""
        if self.is_child or self.has_told:
            return
        self.has_told = True
        name = signal.Signals(signum).name
        words = f"tumsyn: stopped by {name}; run the same command again: it goes on from what was finished\n"
        try:
            os.write(self.terminal, words.encode())
        except OSError:  # the terminal is gone, as after SIGHUP
            return

    def finish(self) -> None:
        """Let a signal that comes from now on not disturb how Python ends; the watching thread limits its time."""
        self.received = self.received or 0


def _descendants(only_children: bool = False) -> list[psutil.Process]:
    """Return the processes under this one, except multiprocessing's tracker, which ends when its pipe closes."""
    import psutil

    found: list[psutil.Process] = []
    waiting = _children(os.getpid())
    while waiting:
        pid = waiting.pop()
        try:
            process = psutil.Process(pid)
            if "multiprocessing.resource_tracker" in " ".join(process.cmdline()):
                continue
        except psutil.Error:  # it has just ended
            continue
        found.append(process)
        waiting += [] if only_children else _children(pid)
    return found


def _children(pid: int) -> list[int]:
    """Return the child processes of a process, in a few reads.

    `psutil` reads the records of all processes of the machine, which takes seconds beside a thread that computes.
    """
    try:
        files = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for file in files for child in file.read_text().split()]
    except FileNotFoundError:  # the process has just ended, or the system does not tell
        return _children_by_search(pid) if Path(f"/proc/{pid}").exists() or sys.platform != "linux" else []


def _children_by_search(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        _send(process, signal.SIGKILL)


def _send(child: psutil.Process, signum: int) -> None:
    import psutil

    try:
        child.send_signal(signum)
    except psutil.Error:  # it has just ended
        return


def stopped_status(status: int) -> bool:
    """Return whether an exit status, as `subprocess` gives it, says that a process was stopped on request."""
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return status in {128 + one for one in stops} or -status in stops
