"""Simulated scans by which a text encoder is evaluated: of people whom no training draws, by protocols of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from model.data.boxes import Box
from model.data.head_bank import TEST_PEOPLE, TRAINING_PEOPLE, HeadBank
from model.data.simulated_scans import SimulatedScan, SimulatedScans
from warehouse.prompts.record import PromptRecord


class HeldOutScans:
    """Scans of test people, and those of training people on which probes are fitted.

    Parameters
    ----------
    folder : Path
        Where heads are kept; made where absent.
    box : Box
        Of the text encoder.
    seed : int
        Draws protocols, scanners and faults.
    people : int
        Seed of the bank of those who are tested.
    """

    def __init__(self, folder: Path, box: Box, seed: int, people: int = TEST_PEOPLE) -> None:
        self.folder, self.box, self.seed, self.people = folder, box, seed, people

    def tested(self, n_people: int, n_each: int) -> Iterator[SimulatedScan]:
        """Yield scans of test people."""
        return self._scans(self.people, n_people, n_each)

    def trained(self, n_people: int, n_each: int) -> Iterator[SimulatedScan]:
        """Yield scans of training people, by other protocols than those that they were trained on."""
        return self._scans(TRAINING_PEOPLE, n_people, n_each)

    def prior(self, n: int) -> list[PromptRecord]:
        """Return the records of n scans that nobody makes, drawn as those of the others are."""
        scans = SimulatedScans(HeadBank(self.folder, self.people, 0, self.box), self.seed)
        return [scans.record("prior", number) for number in range(n)]

    def _scans(self, people: int, n_people: int, n_each: int) -> Iterator[SimulatedScan]:
        bank = HeadBank(self.folder, people, n_people, self.box)
        bank.fill()
        scans = SimulatedScans(bank, self.seed)
        for number in range(n_people):
            yield from scans.scans(number, [("evaluation", place) for place in range(n_each)])
