"""A day in the life of an operator, in minutes: `python -m benchmarks.day --home DIR [--pictures DIR]`.

The home is a finished `tumsyn demo --profile quick`, or a copy of one; the day changes it. Dagster's daemon does the
work. What a person does is done here as a person would: files are copied into a centre's folder, pages are clicked in a
browser, commands are typed. A second process asks the catalogue all the time, as a notebook does, and two processes are
killed. docs/day.md tells what it shows.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import yaml

from benchmarks import day_account, day_kills
from benchmarks.day_browser import Operator, operator
from benchmarks.day_deliveries import CENTER, Delivery, make_deliveries
from pipelines.runtime import arrivals, launch
from pipelines.runtime.operations import path_of
from pipelines.runtime.retraining import DECISION
from warehouse.catalog import model_registry
from warehouse.catalog.query import Catalogue
from warehouse.centers.registry import register, registered
from warehouse.harmonize.pool import n_cpus, processes
from warehouse.lake.home import Home

ROOT = Path(__file__).resolve().parent.parent
N_PEOPLE = 8  # of the good and of the drifted delivery
LONG_S, LOOK_S = 900.0, 1.0
UNMOUNTED = "phantom_ucsf_pdgm"
CLI = [sys.executable, "-m", "pipelines.cli"]
CAREFUL = {"n_steps": 40, "learning_rate": 0.002, "warm_up": 10, "save_every": 10, "validate_every": 40}
HURRIED = {"n_steps": 12, "learning_rate": 0.002, "warm_up": 4, "save_every": 12, "validate_every": 12}
TASKS = ["T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR"]
Found = TypeVar("Found")


class Day:
    """What happens, in its order.

    Parameters
    ----------
    home : Home
    deliveries : list of Delivery
        The good, the damaged and the drifted one.
    person : Operator
    instance : DagsterInstance
    """

    def __init__(
        self, home: Home, deliveries: list[Delivery], person: Operator, instance: dg.DagsterInstance, began: float
    ) -> None:
        self.home, self.person, self.instance, self.began = home, person, instance, began
        self.good, self.damaged, self.drifted = deliveries
        self.root = registered(home)[CENTER].root
        self.facts: dict[str, Any] = {}

    def play(self) -> dict[str, Any]:
        """Play the day, and return what the account of it needs."""
        before = model_registry.champion(self.home, "synthesis")
        assert before, "no synthesis model is champion here; run `tumsyn demo --profile quick` in this home first"
        self.person.switch_on("sensors/refresh")
        self.person.switch_on("schedules/retraining")
        self.say("the operator switches on `refresh` and `retraining`")
        self.wait("every centre was looked at, and is unchanged", self.all_unchanged)
        self.first_delivery()
        self.damaged_delivery()
        promoted = self.wait("the model of the new people is champion", self.champion_after(before))
        self.say(f"champion {before} gives way to {promoted}: {self.reason_of(promoted)}")
        self.drifted_delivery()
        self.unmounted_disk()
        self.rejection(promoted)
        self.rollback(promoted)
        return self.facts

    def first_delivery(self) -> None:
        """Send the good delivery, and kill the training that follows."""
        self.send(self.good)
        self.person.show("day_arrival", "locations/pipelines.definitions/sensors/changed_centers", "changed_centers")
        self.wait("the good delivery is published", lambda: self.n_known(self.good) == len(self.good.files))
        self.wait("its volumes are published", lambda: self.n_volumes(self.good) > 0)
        saved = day_kills.SavedSteps(self.home)
        self.facts["saved_steps"] = saved.steps
        training = self.wait("a training has begun", lambda: day_kills.training(self.home))
        self.say(f"decision: {self.decisions('train')[-1]['detail']}")
        self.send(self.damaged)
        self.wait("its state is saved", lambda: saved.steps)
        training.process.kill()
        self.facts["killed_at_step"] = saved.steps[-1]
        self.say(f"kill -9 of the training's process {training.process.pid}, which has saved step {saved.steps[-1]}")
        again = self.wait("the training resumes in another process", lambda: day_kills.training(self.home))
        self.facts["run_process"] = again.run_process

    def damaged_delivery(self) -> None:
        """Kill the run that publishes the damaged delivery, and wait until another one has published it."""
        self.wait("the damaged delivery is ingested", lambda: self.run_of(CENTER, "SUCCESS", self.facts["sent_at"]))
        left = list(day_kills.kill_publisher(self.home, {self.facts["run_process"]}, LONG_S))
        at = time.monotonic()
        self.facts["half_written"] = left
        self.say(f"kill -9 of the run that publishes, while it writes {', '.join(left)}")
        known = self.n_known(self.damaged)
        self.say(f"the old catalogue is in force and answers: it has {known} files of the damaged delivery")
        self.wait("the damaged delivery is published", lambda: self.n_known(self.damaged) == len(self.damaged.files))
        self.facts["recovered_s"] = time.monotonic() - at
        self.command("sql", "SELECT path, reason, remedy FROM core.rejection WHERE center_id = 'phantom_lemon'")
        self.person.show("day_rejections", f"assets/core/rejection?view=partitions&partition={CENTER}", "row_count")

    def drifted_delivery(self) -> None:
        """Send people of another scanner, and make the next training too short."""
        settings(self.home, "hurried")
        self.say("the operator makes trainings short: 12 steps from random weights, by a slip in operations.yaml")
        self.send(self.drifted)

    def unmounted_disk(self) -> None:
        """Ingest all centres while the disk of one is not mounted, then that one alone."""
        root = registered(self.home)[UNMOUNTED].root
        away = root.with_name(f"{root.name}.away")
        root.rename(away)
        begun = time.time()
        self.person.backfill()
        self.say(f"a backfill of all centres begins; the folder of {UNMOUNTED} is absent")
        failed = self.wait(f"the run of {UNMOUNTED} failed", lambda: self.run_of(UNMOUNTED, "FAILURE", begun))
        others = [name for name in registered(self.home) if name != UNMOUNTED]
        self.wait("the others succeeded", lambda: all(self.run_of(name, "SUCCESS", begun) for name in others))
        self.person.show("day_failed_partition", "assets/core/image?view=partitions", "Failed")
        away.rename(root)
        self.say(f"the folder is back; the operator materialises {UNMOUNTED} alone, after run {failed[:8]}")
        self.person.materialise(UNMOUNTED)
        self.wait("it succeeded", lambda: self.run_of(UNMOUNTED, "SUCCESS", begun))

    def rejection(self, champion: str) -> None:
        """Wait for the decision by drift, and for what becomes of its model."""
        self.wait("the drifted delivery is published", lambda: self.n_known(self.drifted) == len(self.drifted.files))
        self.wait("a decision is made by drift", self.decided_by_drift)
        self.say(f"decision: {self.decisions('train')[-1]['detail']}")
        self.person.show("day_drift", "assets/core/retraining_decision", "n_fields_drifted")
        rejected = self.wait("its model is rejected", lambda: self.events(action="reject", kind="synthesis"))[-1]
        self.say(f"model {rejected['model_id']} is rejected: {rejected['reason']}")
        assert model_registry.champion(self.home, "synthesis") == champion
        self.person.show("day_decisions", "assets/core/retraining_decision?view=events", "drift")

    def rollback(self, promoted: str) -> None:
        """Put the champion of the morning back, by a command."""
        self.command("models", "list")
        self.command("models", "rollback", "--reason", "the operator prefers the old one", "--from", promoted)
        n_before = len(self.decisions())
        self.wait("the next tick has decided", lambda: len(self.decisions()) > n_before + 1)
        self.say(f"decision: {self.decisions()[-1]['detail']}")
        self.command("models", "list")
        self.person.show("day_runs", "runs", "Success")
        self.person.show("day_automation", "locations/pipelines.definitions/schedules/retraining", "Next tick")

    def say(self, text: str) -> None:
        """Print a line of the log."""
        seconds = round(time.monotonic() - self.began)
        print(f"{seconds // 60:02}:{seconds % 60:02}  {text}", flush=True)

    def wait(self, what: str, found: Callable[[], Found | None], limit_s: float = LONG_S) -> Found:
        """Wait until something is the case, print how long it took, and return it."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            if result := found():
                self.say(f"{what} (after {time.monotonic() - began:.0f} s)")
                return result
            time.sleep(LOOK_S)
        raise AssertionError(f"within {limit_s:g} s it did not come about that {what}")

    def send(self, delivery: Delivery) -> None:
        """Copy a delivery into the folder of its centre."""
        self.facts["sent_at"] = time.time()
        delivery.send(self.root)
        self.say(f"the {delivery.name} delivery is copied: {len(delivery.files)} files of {len(delivery.rows)} people")

    def command(self, *words: str) -> None:
        """Type a command, and print what it says."""
        self.say(f"$ tumsyn {' '.join(words)}")
        done = subprocess.run([*CLI, "--home", str(self.home.root), *words], capture_output=True, text=True, cwd=ROOT)
        print(done.stdout + done.stderr, flush=True)
        assert done.returncode == 0, f"tumsyn {words[0]} ended with status {done.returncode}"

    def ask(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Ask the catalogue in force."""
        with Catalogue(self.home).connect() as connection:
            return connection.execute(query, values).fetchall()

    def n_known(self, delivery: Delivery) -> int:
        """Return how many files of a delivery the catalogue in force accounts for."""
        query = "SELECT count(*) FROM raw.file WHERE center_id = $center AND path IN $files"
        return int(self.ask(query, center=CENTER, files=delivery.files)[0][0])

    def n_volumes(self, delivery: Delivery) -> int:
        """Return how many volumes of a delivery's scans the catalogue in force has."""
        scans = "SELECT image_id FROM core.image WHERE center_id = $center AND path IN $files"
        query = f"SELECT count(*) FROM core.volume WHERE image_id IN ({scans})"
        return int(self.ask(query, center=CENTER, files=delivery.files)[0][0])

    def decisions(self, decision: str | None = None) -> list[Mapping[str, Any]]:
        """Return the decisions of the schedule of this day, published or not."""
        wanted = {"decision": decision} if decision else {}
        rows = model_registry.statements(self.home, DECISION, decided_by="schedule", **wanted)
        return [row for row in rows if row["occurred_at"].timestamp() > self.facts.setdefault("began_at", 0.0)]

    def decided_by_drift(self) -> bool:
        """Return whether the last decision to train has drift among its reasons."""
        made = self.decisions("train")
        return bool(made) and "drift" in made[-1]["reasons"]

    def events(self, **wanted: str) -> list[dict[str, Any]]:
        """Return events of models."""
        return model_registry.statements(self.home, model_registry.EVENT, **wanted)

    def all_unchanged(self) -> bool:
        """Return whether the sensor has looked at every centre, and none is settling."""
        states = self.instance.all_instigator_state()
        data = next((one.instigator_data for one in states if one.name == "changed_centers"), None)
        seen = arrivals.from_cursor(getattr(data, "cursor", None))
        return set(seen) == set(registered(self.home)) and all(
            one.folders == one.decided_folders for one in seen.values()
        )

    def champion_after(self, before: str) -> Callable[[], str | None]:
        """Return a function that returns the champion once it is another one."""

        def found() -> str | None:
            now = model_registry.champion(self.home, "synthesis")
            return now if now != before else None

        return found

    def reason_of(self, model_id: str) -> str:
        """Return why a model became champion."""
        return str(self.events(model_id=model_id, alias="champion")[-1]["reason"])

    def run_of(self, center_id: str, status: str, since: float) -> str | None:
        """Return the run that ingested a centre and ended like this since a time."""
        records = [
            record
            for tag in ("dagster/partition", "dagster/asset_partition_range_start")  # a backfill has the second
            for record in self.instance.get_run_records(
                dg.RunsFilter(tags={tag: center_id}, statuses=[dg.DagsterRunStatus[status]]), limit=5
            )
        ]
        ended = [one for one in records if one.create_timestamp.timestamp() >= since]
        keys = {dg.AssetKey(["core", "image"])}
        return next(
            (one.dagster_run.run_id for one in ended if keys <= (one.dagster_run.asset_selection or keys)), None
        )


def settings(home: Home, training: str) -> None:
    """Write operations.yaml: a decision every minute, small limits, and the configuration of this name."""
    values = {
        "arrival": {"recipe": "draft"},
        "retraining": {
            "cron": "* * * * *",
            "least_new_participants": 5,
            "start": "warm" if training == "careful" else "fresh",
            "train_text_encoder": False,
            "text_encoder_config": "quick",
            "synthesis_config": str(home.root / f"{training}.yaml"),
            "protocol": str(home.root / "protocol.yaml"),
        },
        "drift": {"least_people": 5, "significance": 0.05},
    }
    path_of(home).write_text(yaml.safe_dump(values, sort_keys=False))


def prepare(home: Home) -> list[Delivery]:
    """Write settings and configurations, register the centres where the home lies, and simulate the deliveries."""
    for entry in registered(home).values():
        register(home, entry.center, home.root.joinpath(*entry.root.parts[-2:]))
    quick = yaml.safe_load((ROOT / "model/configs/synthesis_quick.yaml").read_text())
    for name, changes in {"careful": CAREFUL, "hurried": HURRIED}.items():
        (home.root / f"{name}.yaml").write_text(yaml.safe_dump(quick | {"name": name} | changes))
    protocol = yaml.safe_load((ROOT / "model/evaluation/protocols/quick.yaml").read_text())
    protocol |= {"name": "day", "tasks": TASKS, "forms": ["native"]}
    (home.root / "protocol.yaml").write_text(yaml.safe_dump(protocol))
    settings(home, "careful")
    for words in (["ingest"], ["harmonize", "--recipe", "draft"]):  # a copy has other times of files
        subprocess.run([*CLI, "--home", str(home.root), *words], cwd=ROOT, check=True)
    with processes(n_cpus()) as pool:
        return make_deliveries(home.root / "staging", N_PEOPLE, pool)


@contextmanager
def served(home: Home, log: Path) -> Iterator[str]:
    """Show the home in the browser, as a person does, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*CLI, "--home", str(home.root), "ui", "--port", str(port)]
    with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            while server.poll() is None:
                with suppress(OSError), urllib.request.urlopen(f"{address}/server_info", timeout=5):
                    break
                time.sleep(0.5)
            yield address
        finally:
            server.send_signal(signal.SIGINT)


@contextmanager
def read(home: Home, path: Path) -> Iterator[None]:
    """Let another process ask the catalogue until the block ends."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.day_reader", str(home.root), str(path)], cwd=ROOT) as one:
        try:
            yield
        finally:
            one.terminate()


def main() -> None:
    """Play the day, and print its log and its account."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a finished quick demonstration, which is changed")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the pages")
    arguments = parser.parse_args()
    home = Home(arguments.home.resolve())
    os.environ.update(launch.environment(home))
    deliveries = prepare(home)
    asked = home.root / "asked.tsv"
    began, began_at = time.monotonic(), time.time()
    with (
        read(home, asked),
        served(home, home.root / "ui.log") as address,
        operator(address, arguments.pictures) as person,
        launch.opened(home) as instance,
    ):
        day = Day(home, deliveries, person, instance, began)
        day.facts["began_at"] = began_at
        facts = day.play()
        records = instance.get_run_records(limit=200)
    day_account.check(home, deliveries, facts, asked)
    day_account.show(home, deliveries, facts, asked, records)


if __name__ == "__main__":
    main()
