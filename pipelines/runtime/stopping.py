"""Stop a command: SIGINT, SIGTERM and SIGHUP end it and its child processes within five seconds.

The handler of a signal raises `Stopped` in the main thread, which unwinds. A watching thread wakes through
`signal.set_wakeup_fd`, even while the main thread is inside a long call of a library: it ends the child processes, and
after `UNWIND_S` ends this process if the main thread has not done so.

`python -m pipelines.runtime.stopping MODULE ARGUMENT...` runs a module of another package, such as `dagster`, as a
child process that ends in the same way.
"""

from __future__ import annotations

import atexit
import contextvars
import ctypes
import logging
import os
import runpy
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import psutil

Result = TypeVar("Result")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARENT = "TUMSYN_PARENT"  # in the environment of a child process: the process with which it ends
UNWIND_S = 3.0  # from a signal until this process is ended
CHILDREN_S = 2.5  # from a signal until SIGKILL for child processes
HEAD_START_S = 0.1  # from a signal until SIGTERM for child processes: the parent must not take their end for a failure
ORPHAN_CHECK_S = 0.5
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

_received = threading.Event()  # whether this process received a signal


class Stopped(BaseException):
    """A signal stopped this process. It is no `Exception`, so that no error handler catches it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let signals end the command that runs inside, with exit status 128 + signal.

    This is for the main thread of a process that does nothing else: the handlers stay until the process has ended.
    A process that was started with `child_environment` also ends, as by SIGTERM, when its parent is gone.
    """
    atexit.register(_ignore_signals)  # functions run in reverse order: this is the last one
    watch = _Watch()
    try:
        yield
    except BaseException:
        # The clean-up of a library may have raised another exception in the place of `Stopped`.
        if watch.received:
            watch.leave(watch.received)
        raise
    finally:
        watch.received = watch.received or 0  # later signals do not disturb the end; the thread limits its time


def check() -> None:
    """Raise `Stopped` if a signal was received, so that an error which it caused is not shown."""
    if _received.is_set():
        raise Stopped


def child_environment() -> dict[str, str]:
    """Return variables that make a stoppable process which is started from here end with this process."""
    return {PARENT: str(os.getpid())}


def is_stop(status: int) -> bool:
    """Return whether an exit status, as `subprocess` gives it, is that of a process which was stopped on request."""
    return -status in SIGNALS or status - 128 in SIGNALS


def call(work: Callable[[], Result], meanwhile: Callable[[], None] = lambda: None, interval_s: float = 1.0) -> Result:
    """Call `work` in a thread of its own, and return its result.

    Dagster replaces the signal handlers while it executes a run in the main thread: it then loses signals between
    steps, and takes one inside a step for a failure, which its retry policy repeats. In another thread it does neither.

    Parameters
    ----------
    work : callable
    meanwhile : callable
        Called by this thread every `interval_s` seconds until the work is done.
    """
    future: Future[Result] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - `future.result` raises it
            future.set_exception(error)

    thread = threading.Thread(target=run, name=f"call of {work}", daemon=True)
    try:
        thread.start()  # waits until the thread runs, so that a signal may arrive meanwhile
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
        # It is raised between two bytecodes, and again in code that caught it and continued.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stopped))
        wait([future], 1.0)


def _silence() -> None:
    """Suppress the messages of libraries about an exception in the middle of their work, which is intended."""
    logging.disable()
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None


def _ignore_signals() -> None:
    """Ignore signals while Python clears its modules: it would restore the default handlers, which kill."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)


class _Watch:
    """Signal handlers of this process, and the thread that enforces their deadlines."""

    def __init__(self) -> None:
        _adopt_orphans()
        self.terminal = os.dup(2)  # Dagster redirects standard error while a run goes on
        self.parent = int(os.environ.pop(PARENT, "0"))
        self.is_silent = bool(self.parent)  # the parent shows the message
        self.children: list[psutil.Process] = []
        self.received: int | None = None
        self.began = 0.0
        self.wakeup, writer = os.pipe()
        for end in (self.wakeup, writer):
            os.set_blocking(end, False)
        for name in SIGNALS:
            if not (name == signal.SIGHUP and signal.getsignal(name) == signal.SIG_IGN):  # nohup
                signal.signal(name, self.handle)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self.watch, name="signals", daemon=True).start()

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """Raise `Stopped` at the first signal; later ones must not disturb the end."""
        if self.received is None:
            self.received, self.began = signum, time.monotonic()
            _received.set()
            self.children = _descendants()  # before their parents end, after which they cannot be found
            _silence()
            raise Stopped

    def watch(self) -> None:
        """Wait for a signal, or for the end of the parent process."""
        while True:
            select.select([self.wakeup], [], [], ORPHAN_CHECK_S if self.parent else None)
            if self.parent and os.getppid() != self.parent:
                self.parent = 0
                os.kill(os.getpid(), signal.SIGTERM)
            with suppress(BlockingIOError):
                for signum in os.read(self.wakeup, 64):
                    if signum in SIGNALS:
                        self.enforce(signum)

    def enforce(self, signum: int) -> None:
        """End the child processes, then this one if it has not ended by itself."""
        self.began = self.began or time.monotonic()
        self.children = self.children or _descendants()  # where a library has replaced the handler
        time.sleep(HEAD_START_S)
        self.end_children()
        time.sleep(self.remaining(UNWIND_S))
        self.end_at_once(signum)

    def leave(self, signum: int) -> None:
        """End in good order, while the watching thread enforces the deadline."""
        self.end_children()
        self.show(signum)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or a pipe that nobody reads
                stream.flush()
        if any(thread.name.startswith("call of ") for thread in threading.enumerate()):
            self.end_at_once(signum)  # Python must not clear modules that a thread still uses
        raise SystemExit(128 + signum)

    def end_at_once(self, signum: int) -> None:
        """Kill the child processes and end this process without waiting."""
        _send([*self.children, *_descendants()], signal.SIGKILL)
        self.show(signum)
        os._exit(128 + signum)

    def end_children(self) -> None:
        """End the child processes by SIGTERM, after which each ends its own, and kill those that remain."""
        import psutil

        own = _descendants(only_children=True)
        _send(own, signal.SIGTERM)
        psutil.wait_procs(own, timeout=self.remaining(CHILDREN_S))
        _send([*self.children, *_descendants()], signal.SIGKILL)

    def remaining(self, seconds: float) -> float:
        """Return how much of a time that began with the signal remains, in seconds."""
        return max(0.0, self.began + seconds - time.monotonic())

    def show(self, signum: int) -> None:
        """Show once that the command was stopped, and how to continue."""
        if self.is_silent:
            return
        self.is_silent = True
        name = signal.Signals(signum).name
        text = f"tumsyn: stopped by {name}; run the same command again: it continues from what was finished\n"
        with suppress(OSError):  # the terminal is gone, as after SIGHUP
            os.write(self.terminal, text.encode())


def _adopt_orphans() -> None:
    """Make a process whose parent ends a child of this one, where Linux can, so that `_descendants` finds it."""
    with suppress(AttributeError):  # other systems have no such call
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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
    """Return the child processes of a process.

    `psutil` reads the records of all processes of the machine, which takes seconds beside a thread that computes.
    """
    import psutil

    try:
        files = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for file in files for child in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended, or the kernel has no such files
        with suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
        return []


def _send(processes: Iterable[psutil.Process], signum: int) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error):  # it has just ended
            process.send_signal(signum)


def main() -> None:
    """Run a module with the arguments of the command line."""
    _, module, *words = sys.argv
    sys.argv = [module, *words]
    with stoppable():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
