"""Runs a Python module as the head of a process group, which ends as a whole when the process that started it is gone.

`python -m pipelines.runtime.group MODULE ARGUMENTS` is for programs of others that start processes of their own, as
`dagster dev` does. Does not belong here: what the program is.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

CHECK_S = 0.5  # between two looks at the parent
END_S = 3.0  # that a group has between SIGTERM and SIGKILL


@contextmanager
def started(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module in a group of its own, which ends with the context.

    Parameters
    ----------
    words : sequence of str
        Module and arguments.
    environment : mapping
        Whole environment of the processes.
    """
    command = [sys.executable, "-m", "pipelines.runtime.group", str(os.getpid()), *words]
    with subprocess.Popen(command, env=dict(environment), start_new_session=True) as process:
        try:
            yield process
        finally:
            end(process.pid)


def end(group: int) -> None:
    """End a process group: its head by SIGTERM, which ends the others, and what is left after a while by SIGKILL."""
    try:
        os.kill(group, signal.SIGTERM)
    except ProcessLookupError:
        _send(group, signal.SIGTERM)
    deadline = time.monotonic() + END_S
    while _is_there(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    _send(group, signal.SIGKILL)


def _is_there(group: int) -> bool:
    """Return whether a group has a process that is not merely waiting to be buried."""
    import psutil

    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
        except ProcessLookupError:
            continue
    return False


def _send(group: int, signum: int) -> None:
    try:
        os.killpg(group, signum)
    except ProcessLookupError:  # all of them have ended
        return


def _end_with(parent: int) -> None:
    """End this group once the parent is gone."""
    while os.getppid() == parent:
        time.sleep(CHECK_S)
    guard = [sys.executable, "-c", f"from pipelines.runtime.group import end; end({os.getpgrp()})"]
    subprocess.Popen(guard, start_new_session=True)  # outside of the group, which it outlives by a moment


def main() -> None:
    """Run a module: the parent's number, the module and its arguments are those of the command line."""
    parent, module, *words = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
