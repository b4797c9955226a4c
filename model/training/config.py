"""Configurations of trainings: every key with its meaning; shipped ones by name, the user's own by path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, overload

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.data.boxes import Box
from model.data.changes import Changes
from model.data.folds import Fold
from model.data.matching import Draws
from model.data.simulated_scans import Faults
from model.networks.device import Precision, PrecisionChoice
from model.networks.fields import FieldsConfig
from model.networks.pair_encoder import describe
from model.networks.reference import ReferenceConfig
from model.networks.synthesis import describe as describe_synthesis
from model.networks.synthesis.compact import CompactConfig
from model.networks.synthesis.reference import ReferenceConfig as SynthesisReferenceConfig
from model.training.loop import FitSettings
from warehouse.documents import read_yaml, shipped_or_own, validated
from warehouse.errors import ModelError
from warehouse.lake.migration import current_keys
from warehouse.tables.models import KINDS

SHIPPED = Path(__file__).parent.parent / "configs"


class TrainingConfig(BaseModel):
    """What every training has.

    Parameters
    ----------
    name : str
        Of the configuration; no part of a run's identity.
    recipe : str
        Harmonised volumes that are learned from: name or identity of their recipe.
    seed : int
        Of every random draw.
    n_steps, batch_size : int
    learning_rate : float
        Highest rate, after the warm-up.
    warm_up : int
        Steps over which the rate rises from 0.
    clip : float
        Largest norm of a gradient.
    weight_decay : float
        Of matrices and kernels.
    average_decay : float
        Of the moving average of the weights, which is what is kept; 0 for none.
    save_every, validate_every : int
        Steps between states from which a killed training goes on, and between validations.
    precision : {"auto", "fp32", "bf16"}
        Of convolutions and matrix products. ``auto`` is bf16 where the device multiplies it natively, else fp32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    recipe: str = "standard"
    seed: int = Field(default=0, ge=0, lt=2**31)
    n_steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, lt=1)
    warm_up: int = Field(default=50, ge=1)
    clip: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    save_every: int = Field(default=100, ge=1)
    validate_every: int = Field(default=100, ge=1)
    precision: PrecisionChoice = "auto"

    def fit_settings(self, device: str, precision: Precision) -> FitSettings:
        """Return the settings of the training loop on a device, in the precision that was chosen for it."""
        names = (FitSettings.__dataclass_fields__.keys() & type(self).model_fields.keys()) - {"precision"}
        return FitSettings(**{name: getattr(self, name) for name in names}, device=device, precision=precision)


class TextEncoderTraining(TrainingConfig):
    """A training of prompts and images into one space.

    Parameters
    ----------
    architecture : {"fields", "reference"}
        Of `model.networks.pair_encoder`; its sizes are under its own key.
    fields : FieldsConfig
    reference : ReferenceConfig
    box_voxels : list of 3 int
        Shape of the box into which whole volumes are resampled for the image tower.
    box_mm : float
        Voxel size of that box, mm.
    simulated_share : float
        Of the images of a batch; 0 for the catalogue alone, 1 for simulated scans alone.
    n_uses : int
        Batches in a row that a simulated scan is in.
    n_heads : int
        Simulated heads, which are made before the first step and kept in the home; each takes two seconds and 7 MB.
    scans_per_head : int
        Of a batch.
    wide_share : float
        Share of simulated protocols from the whole clinical range instead of the usual one of their contrast.
    deviating_share : float
        Share of simulated scans whose signals deviate from their equations, and which say nothing of parameters.
    n_candidates : int
        Further prompts of a batch, of images that nobody made.
    n_changed : int
        Copies of each image's prompt in which one number is false.
    field_dropout : float
        Share of the fields that are hidden, so that missing ones are nothing new.
    bare_prompts : float
        Share of the prompts that say the contrast and nothing else.
    unacquired_share : float
        Share of the prompts that lose all parameters of the acquisition: missing does not mean real.
    word_share : float
        Share of the prompts with words that no field holds.
    n_workers : int
        Processes that make batches ahead; 0 for none. Batches are the same.
    n_validation : int
        Images that are measured, the same each time.
    """

    architecture: Literal["fields", "reference"] = "fields"
    fields: FieldsConfig = Field(default_factory=FieldsConfig)
    reference: ReferenceConfig = Field(default_factory=ReferenceConfig)
    box_voxels: tuple[int, int, int] = (48, 56, 48)
    box_mm: float = Field(default=4.0, gt=0)
    simulated_share: float = Field(default=0.75, ge=0, le=1)
    n_uses: int = Field(default=2, ge=1)
    n_heads: int = Field(default=192, ge=1)
    scans_per_head: int = Field(default=4, ge=1)
    wide_share: float = Field(default=0.5, ge=0, le=1)
    deviating_share: float = Field(default=0.3, ge=0, le=1)
    n_candidates: int = Field(default=128, ge=0)
    n_changed: int = Field(default=3, ge=0)
    field_dropout: float = Field(default=0.2, ge=0, lt=1)
    bare_prompts: float = Field(default=0.2, ge=0, le=1)
    unacquired_share: float = Field(default=0.3, ge=0, le=1)
    word_share: float = Field(default=0.1, ge=0, le=1)
    n_workers: int = Field(default=1, ge=0, le=64)
    n_validation: int = Field(default=128, ge=2)

    @property
    def sizes(self) -> dict[str, Any]:
        """Architecture as a checkpoint keeps it; the box of the images is that of the training."""
        if self.architecture == "fields":
            return describe("fields", self.fields)
        return describe("reference", replace(self.reference, box_voxels=self.box_voxels))

    @property
    def box(self) -> Box:
        """Grid of the volumes that the image tower sees."""
        return Box(self.box_voxels, self.box_mm)

    @property
    def faults(self) -> Faults:
        """What is wrong with simulated scans."""
        return Faults(deviating_share=self.deviating_share)

    @property
    def draws(self) -> Draws:
        """How batches are drawn."""
        names = Draws.__dataclass_fields__.keys() & type(self).model_fields.keys()
        return Draws(**{name: getattr(self, name) for name in names})

    @model_validator(mode="after")
    def _fits(self) -> TextEncoderTraining:
        text, image = self.fields.text, self.fields.image
        if text.width % text.n_heads:
            raise ValueError(f"width {text.width} is not divisible by n_heads {text.n_heads}")
        if self.architecture == "fields" and min(self.box_voxels) < image.patch_voxels * 2 ** (image.n_levels - 1):
            raise ValueError(f"box_voxels {self.box_voxels} is too small for {image.n_levels} levels")
        if self.bare_prompts + self.unacquired_share > 1:
            raise ValueError("bare_prompts and unacquired_share are more than all prompts")
        return self


class SynthesisTraining(TrainingConfig):
    """A training of the network that turns scans into others.

    Parameters
    ----------
    architecture : {"compact", "reference"}
        Of `model.networks.synthesis`; its sizes are under its own key.
    compact : CompactConfig
    reference : ReferenceConfig
    init : str, optional
        Model whose weights it begins with: ``shipped``, ``champion``, identity or folder. Architecture, sizes and text
        encoder are then the model's.
    centers : list of str
        Whose people it learns from and is validated on; none: those of all centres.
    held_out_fold : int, optional
        For cross-validation: it learns from all internal people but those of this fold, whatever their split; folds are
        counted from 0. The validation curve is then of the fold's people. No choice is made by it, since the last
        weights are kept, and none may be made by hand: these people are tested.
    n_folds : int
        Among which people are dealt.
    kernel_rate : float
        Highest rate of Muon for the kernels of convolutions; 0: they are learned by AdamW, as all others.
    form : {"native", "session"}
        Whether scans and targets are taken on their own voxels or as harmonised, all on the grid of their session.
    patch_voxels : int
        Side of the patches that it is trained on; a multiple of the lowest level's step.
    simulated_share : float
        Of the patches of a batch; 0 for scans of the catalogue alone.
    n_heads : int
        Simulated heads, which are made before the first step and kept in the home; at 1 mm, each takes 16 s and 110 MB.
    n_real_heads : int
        Brains of training people beside them, at most: shares of tissues in a T1w, lesions left out. Made and kept as
        simulated heads are; 0 for none.
    several_share : float
        Share of patches that get more than one scan where there are more.
    field_dropout : float
        Share of a prompt's fields that are hidden, so that missing ones are nothing new. The target's contrast stays.
    source_dropout : float
        Share of source prompts that are hidden altogether: users may know nothing of their scan.
    gamma, stretch, noise, bias : float
        Random changes of sources, as `model.data.changes.Changes` has them.
    drawn_settings : float
        Share of real prompts without TR, TE, TI and flip angle that get those of a random protocol of their contrast,
        so that naming settings is no wish for a simulated look.
    n_workers : int or "auto"
        Processes that read patches ahead; ``auto`` is none where all volumes fit in memory. Batches are the same.
    ssim_weight, volume_weight, signal_weight : float
        Of 1 − SSIM inside the brain, of the absolute error over the whole patch, and of the squared error of the signal
        inside the brain, beside the absolute error inside the brain.
    map_weight : float
        Of the error of tissue parameters (of their logarithms), where they are known, as of simulated heads.
    n_validation : int
        Pairs of the split val of which a patch is measured, the same each time.
    examples_every : int
        Steps between pictures of what it makes of validation patches, beside the state; 0 for none. They decide no
        weight, and so are no part of a run's identity.
    """

    architecture: Literal["compact", "reference"] = "compact"
    compact: CompactConfig = Field(default_factory=CompactConfig)
    reference: SynthesisReferenceConfig = Field(default_factory=SynthesisReferenceConfig)
    init: str | None = None
    centers: list[str] = []
    held_out_fold: int | None = Field(default=None, ge=0)
    n_folds: int = Field(default=4, ge=2)
    kernel_rate: float = Field(default=0.02, ge=0, lt=1)
    form: Literal["native", "session"] = "native"
    patch_voxels: int = Field(default=64, ge=4)
    simulated_share: float = Field(default=0.0, ge=0, le=1)
    n_heads: int = Field(default=16, ge=1)
    n_real_heads: int = Field(default=16, ge=0)
    several_share: float = Field(default=0.3, ge=0, le=1)
    field_dropout: float = Field(default=0.1, ge=0, lt=1)
    source_dropout: float = Field(default=0.1, ge=0, lt=1)
    gamma: float = Field(default=0.1, ge=0, lt=1)
    stretch: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0)
    bias: float = Field(default=0.0, ge=0, lt=1)
    drawn_settings: float = Field(default=0.0, ge=0, le=1)
    n_workers: Annotated[int, Field(ge=0, le=64)] | Literal["auto"] = "auto"
    ssim_weight: float = Field(default=0.3, ge=0)
    volume_weight: float = Field(default=0.1, ge=0)
    signal_weight: float = Field(default=0.0, ge=0)
    map_weight: float = Field(default=0.05, ge=0)
    n_validation: int = Field(default=24, ge=1)
    examples_every: int = Field(default=500, ge=0)

    def sizes(self, embedding_width: int) -> dict[str, Any]:
        """Return the architecture as a checkpoint keeps it, for embeddings of so many numbers."""
        return describe_synthesis(self.architecture, replace(self.chosen, embedding_width=embedding_width))

    @property
    def chosen(self) -> CompactConfig | SynthesisReferenceConfig:
        """Sizes of the architecture that is trained."""
        return self.compact if self.architecture == "compact" else self.reference

    @property
    def fold(self) -> Fold | None:
        """Whose people are held out."""
        return None if self.held_out_fold is None else Fold(self.held_out_fold, self.n_folds)

    @property
    def changes(self) -> Changes:
        """How patches are changed."""
        return Changes(**{name: getattr(self, name) for name in Changes.__dataclass_fields__})

    @property
    def unchanged(self) -> Changes:
        """How patches that measure are changed: not at all."""
        return Changes(0.0, 0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _fits(self) -> SynthesisTraining:
        step, n_blocks = self.compact.step, len(self.compact.blocks)
        if len(self.compact.widths) != n_blocks:
            raise ValueError(f"compact has {len(self.compact.widths)} widths and {n_blocks} numbers of blocks")
        if self.architecture == "compact" and self.patch_voxels % step:
            raise ValueError(f"patch_voxels {self.patch_voxels} is no multiple of {step}, the step of the lowest level")
        if self.held_out_fold is not None and self.held_out_fold >= self.n_folds:
            raise ValueError(f"held_out_fold {self.held_out_fold} is none of {self.n_folds} folds, counted from 0")
        return self


CONFIGS: dict[str, type[TrainingConfig]] = {"text_encoder": TextEncoderTraining, "synthesis": SynthesisTraining}


@overload
def load_config(kind: Literal["text_encoder"], name_or_path: str) -> TextEncoderTraining: ...
@overload
def load_config(kind: Literal["synthesis"], name_or_path: str) -> SynthesisTraining: ...
@overload
def load_config(kind: str, name_or_path: str) -> TrainingConfig: ...
def load_config(kind: str, name_or_path: str) -> TrainingConfig:
    """Read a shipped configuration by its name, or the user's own by its path.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    name_or_path : str
        demo, standard, or the path of a YAML file.

    Returns
    -------
    TrainingConfig
        `TextEncoderTraining` or `SynthesisTraining`.

    Raises
    ------
    ModelError
        Naming file, key and remedy.
    """
    if kind not in KINDS:
        raise ModelError(f"there is no kind of model {kind!r}", f"kinds are {', '.join(KINDS)}")
    path = shipped_or_own("configuration", name_or_path, SHIPPED, f"{kind}_", ModelError)
    form = f"model/configs/{kind}_standard.yaml"
    return validated(CONFIGS[kind], current_keys(read_yaml(path, ModelError)), path, form, ModelError)


def run_id(kind: str, config: TrainingConfig, facts: Mapping[str, Any]) -> str:
    """Return the identity of a training run: 16 hexadecimal digits.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    config : TrainingConfig
        Its name, how many processes read ahead, and when examples are drawn are no part of it; nor are folds where
        none is held out.
    facts : mapping
        What else decides what comes out: data_id, recipe_id, training_code, text_encoder, identity of the model that it
        begins with.
    """
    others = {"name", "n_workers", "examples_every", "init"}
    if getattr(config, "held_out_fold", None) is None:
        others |= {"held_out_fold", "n_folds"}  # as before there were folds
    decisive = {"kind": kind, "config": config.model_dump(mode="json", exclude=others), **facts}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
