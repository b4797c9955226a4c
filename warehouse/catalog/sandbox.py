"""Script that runs one query on one catalogue file, without access to anything else.

`warehouse.catalog.query` runs it in a separate process and never imports it. Only a separate process can enforce the
limits: DuckDB does not count every allocation (``repeat('x', 2000000000)``) and cannot be interrupted during planning,
whereas the kernel can refuse memory and the parent can kill the process. The script imports nothing of the project, so
that it starts fast.

Standard input: JSON {path, sql, memory_limit_bytes, timeout_s}. Standard output: an Arrow stream. Exit status 3: the
query was refused, and standard error holds JSON {what, remedy}.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import threading
from typing import NoReturn

import duckdb
import pyarrow as pa

REFUSED = 3
PR_SET_PDEATHSIG = 1  # of prctl(2)
ALLOWED = ("SELECT", "EXPLAIN")
OVERHEAD_BYTES = 256 * 1024**2  # Arrow's own buffers, stacks of threads
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "threads": 2,
}


def refuse(what: str, remedy: str) -> NoReturn:
    """End the process with a reason."""
    sys.stderr.write(json.dumps({"what": what, "remedy": remedy}) + "\n")
    sys.stderr.flush()
    os._exit(REFUSED)  # without clean-up, which could wait for a query that ignores its interrupt


def limit(memory_limit_bytes: int) -> None:
    """Set kernel limits: memory up to the limit, no writing of files, no core dumps."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is not imported here, for speed
        pages = int(file.read().split()[5])
    used = pages * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_DATA, used + memory_limit_bytes + OVERHEAD_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def connect(path: str, memory_limit_bytes: int) -> duckdb.DuckDBPyConnection:
    """Open the catalogue read-only, without access to other files."""
    config = CONFIG | {"memory_limit": f"{memory_limit_bytes // 1000}KB"}
    connection = duckdb.connect(path, read_only=True, config=config)
    # Set after opening: below a folder with ? in its name DuckDB looks for its log at another path, which this refuses.
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """Return the single statement of the request."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        refuse(f"{len(statements)} statements were given", "give exactly one SELECT")
    kind = statements[0].type.name
    if kind == "MULTI":
        refuse("PIVOT without values is several statements", "name the values: PIVOT t ON c IN ('a', 'b')")
    if kind not in ALLOWED:
        refuse(f"{kind} is not allowed: the catalogue is read-only", "give a SELECT")
    return statements[0]


def answer(request: dict[str, object]) -> None:
    """Run the query and write its result as an Arrow stream to standard output."""
    memory_limit_bytes = int(str(request["memory_limit_bytes"]))
    limit(memory_limit_bytes)
    connection = connect(str(request["path"]), memory_limit_bytes)
    timer = threading.Timer(float(str(request["timeout_s"])), connection.interrupt)
    timer.daemon = True
    timer.start()
    batches = connection.sql(statement(connection, str(request["sql"]))).to_arrow_reader(10_000)
    n_bytes = 0
    with pa.ipc.new_stream(sys.stdout.buffer, batches.schema) as stream:
        for batch in batches:
            n_bytes += batch.nbytes
            if n_bytes > memory_limit_bytes:
                refuse("the answer is larger than the memory limit", "add LIMIT, or raise the memory limit")
            stream.write_batch(batch)


def main() -> None:
    """Answer the request on standard input."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # Linux: kills this process when its parent ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent handles it
    request = json.load(sys.stdin)
    try:
        answer(request)
    except duckdb.InterruptException:
        refuse(f"the query ran longer than {request['timeout_s']} s", "narrow it, or raise the time limit")
    except (duckdb.OutOfMemoryException, MemoryError):
        refuse("the query needs more memory than the limit", "narrow it, or raise the memory limit")
    except duckdb.PermissionException as error:
        refuse(str(error), "a query reads the tables of the catalogue alone: `tumsyn catalog tables` lists them")
    except duckdb.Error as error:
        refuse(str(error), "`tumsyn catalog tables` and `describe TABLE` show what there is")


if __name__ == "__main__":
    main()
