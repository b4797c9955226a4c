"""Define what a person may set when a model's asset is materialised: the fields of Dagster's launchpad."""
# No postponed annotations here: Dagster reads the types of the fields as objects.

import dagster as dg
from pydantic import Field


class DeviceSettings(dg.Config):
    """Where the network runs."""

    device: str | None = Field(default=None, description="cpu or cuda. Default: a GPU where there is one.")


class TrainingSettings(DeviceSettings):
    """What is trained, and where."""

    config: str = Field(
        default="standard",
        description="Name of a shipped configuration (standard: for a GPU; compact, of a synthesis model: 1 mm on two "
        "cores; demo: minutes; quick: a test), or path of a YAML file.",
    )


class SynthesisSettings(TrainingSettings):
    """As a training of any kind has them, and what the network begins with."""

    init: str | None = Field(
        default=None, description="Model to begin with: champion, shipped, identity or folder; default: random weights."
    )
    text_encoder: str | None = Field(
        default=None, description="Text encoder to use: identity, alias or folder; default: the one trained before."
    )


class EvaluationSettings(DeviceSettings):
    """By which protocol is evaluated, and where."""

    protocol: str = Field(
        default="standard",
        description="Name of a shipped protocol (standard; demo and quick: fewer pairs), or path of a YAML file.",
    )


class ChampionSettings(DeviceSettings):
    """By which protocol the champions are evaluated, and where."""

    protocol: str | None = Field(
        default=None,
        description="Name of a shipped protocol, or path of a YAML file. Default: `retraining.protocol` of "
        "operations.yaml in the home, else standard.",
    )
