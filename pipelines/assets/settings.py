"""Define the settings of the assets of models, which Dagster's launchpad shows as fields."""
# No postponed annotations here: Dagster reads the types of the fields as objects.

import dagster as dg
from pydantic import Field


class DeviceSettings(dg.Config):
    """Device on which the network runs."""

    device: str | None = Field(default=None, description="cpu or cuda. Default: a GPU where there is one.")


class TrainingSettings(DeviceSettings):
    """Settings of a training."""

    config: str = Field(
        default="standard",
        description="Name of a shipped configuration (standard: for a GPU; compact, of a synthesis model: 1 mm on two "
        "cores; demo: minutes; quick: a test), or path of a YAML file.",
    )


class SynthesisSettings(TrainingSettings):
    """Settings of a training of a synthesis model, with the models that it begins with."""

    init: str | None = Field(
        default=None, description="Model to begin with: champion, shipped, identity or folder; default: random weights."
    )
    text_encoder: str | None = Field(
        default=None, description="Text encoder to use: identity, alias or folder; default: the one trained before."
    )


class EvaluationSettings(DeviceSettings):
    """Settings of an evaluation."""

    protocol: str = Field(
        default="standard",
        description="Name of a shipped protocol (standard; demo and quick: fewer pairs), or path of a YAML file.",
    )


class ChampionSettings(DeviceSettings):
    """Settings of an evaluation of the champions."""

    protocol: str | None = Field(
        default=None,
        description="Name of a shipped protocol, or path of a YAML file. Default: `retraining.protocol` of "
        "operations.yaml in the home, else standard.",
    )
