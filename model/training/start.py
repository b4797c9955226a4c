"""A model that a training begins with, so that a lab adds a few people of its own to what others have learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.data.catalogue import CatalogueImages
from model.networks.checkpoint import read_config
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.parts import read_parts
from model.networks.synthesis import SynthesisNetwork
from model.networks.weights import resolve
from model.training.config import SynthesisTraining
from warehouse.errors import ModelError
from warehouse.lake.home import Home


@dataclass(frozen=True)
class Start:
    """A synthesis model that a training begins with.

    Parameters
    ----------
    config : dict
        As its checkpoint has it.
    network : Module
    encoder : FrozenTextEncoder
    """

    config: dict[str, Any]
    network: SynthesisNetwork
    encoder: FrozenTextEncoder

    @classmethod
    def read(cls, home: Home, model: str, images: CatalogueImages, text_encoder: str | None) -> Start:
        """Read it, and make sure that it can go on with these images.

        Parameters
        ----------
        home : Home
        model : str
            Identity, ``champion``, ``shipped``, or the path of a folder.
        images : CatalogueImages
            That it will learn from.
        text_encoder : str or None
            That somebody asks for: a network understands the embeddings of its own one alone.

        Raises
        ------
        ModelError
            When there is no such model, it is for volumes of another size, or has another text encoder.
        """
        config, network, encoder = read_parts(resolve(home, model, "synthesis"))
        name = f"synthesis model {config['model_id']}"
        if config["grid_mm"] != images.grid_mm:
            what = (
                f"{name} is for volumes of {config['grid_mm']:g} mm, and those of the recipe have {images.grid_mm:g} mm"
            )
            raise ModelError(what, "name the recipe of volumes that it is for in the configuration, or another model")
        asked = None if text_encoder is None else read_config(resolve(home, text_encoder, "text_encoder"))["model_id"]
        if asked not in (None, encoder.model_id):
            what = f"{name} has learned the embeddings of text encoder {encoder.model_id}, not of {asked}"
            raise ModelError(what, "leave out --text-encoder, or train a network from nothing with it")
        return cls(config, network, encoder)

    @property
    def model_id(self) -> str:
        """Identity of the model."""
        return str(self.config["model_id"])

    def sized(self, config: SynthesisTraining) -> SynthesisTraining:
        """Return the configuration with the architecture and sizes of the model in place of its own.

        Raises
        ------
        ModelError
            When its patches do not fit.
        """
        architecture = self.config["architecture"]
        name, sizes = architecture["name"], {key: value for key, value in architecture.items() if key != "name"}
        try:
            return SynthesisTraining.model_validate(config.model_dump() | {"architecture": name, name: sizes})
        except ValueError as error:
            what = f"the configuration does not suit synthesis model {self.model_id}: {error}"
            raise ModelError(what, f"give a patch_voxels that is a multiple of {self.network.step}") from error
