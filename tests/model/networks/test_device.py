"""Which precision a training runs in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.networks import device
from model.networks.device import choose_precision
from model.training.loop import FitSettings, fit
from model.training.state import precision_of_training
from tests.model.training.toy import Toy


def test_a_named_precision_is_taken_without_asking_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "multiplies_bf16", lambda device: pytest.fail("asked"))
    assert choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("fp32", "cpu") == "fp32"


@pytest.mark.parametrize(
    ("native", "seconds_bf16", "chosen"),
    [
        pytest.param(False, 0.1, "fp32", id="emulated"),
        pytest.param(True, 0.1, "bf16", id="native and faster"),
        pytest.param(True, 1.1, "fp32", id="native and slower"),
    ],
)
def test_bf16_is_chosen_where_it_is_native_and_faster(
    monkeypatch: pytest.MonkeyPatch, native: bool, seconds_bf16: float, chosen: str
) -> None:
    monkeypatch.setattr(device, "multiplies_bf16", lambda device: native)
    monkeypatch.setattr(device, "_seconds", lambda device, bf16: seconds_bf16 if bf16 else 1.0)
    assert choose_precision("auto", "cpu") == chosen


@pytest.mark.slow
def test_a_processor_limited_to_avx2_trains_in_fp32() -> None:
    code = "from model.networks.device import choose_precision; print(choose_precision('auto', 'cpu'))"
    limited = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=limited, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "fp32"


def test_the_choice_times_real_convolutions_in_a_fraction_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < device._seconds("cpu", bf16=False) < 1


def test_a_resumed_training_keeps_its_precision_on_a_device_that_would_choose_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(Toy(), FitSettings(n_steps=2, save_every=1, precision="bf16"), tmp_path, lambda *told: None)
    monkeypatch.setattr(device, "multiplies_bf16", lambda device: False)
    assert precision_of_training("auto", "cpu", tmp_path) == "bf16"
    assert precision_of_training("auto", "cpu", tmp_path / "new") == "fp32"
