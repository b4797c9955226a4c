"""What `import warehouse` sets in the environment, before the libraries that read it are loaded."""

import os
import subprocess
import sys

import pytest

READ = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")


def set_by_import(given: dict[str, str]) -> list[str]:
    """Return what a new process finds in the variables after the import."""
    others = {name: value for name, value in os.environ.items() if name not in READ}
    code = f"import os, warehouse; print(*[os.environ.get(name, '-') for name in {READ}])"
    done = subprocess.run([sys.executable, "-c", code], env=others | given, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ["PASSIVE", "1000", "1"]),
        ({"THP_MEM_ALLOC_ENABLE": "0", "GOMP_SPINCOUNT": "0"}, ["PASSIVE", "0", "0"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "-", "1"]),
    ],
)
def test_threads_and_pages_are_chosen_unless_the_environment_says_otherwise(
    given: dict[str, str], found: list[str]
) -> None:
    assert set_by_import(given) == found
