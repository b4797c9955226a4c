"""The look-up that a model must beat in contrast fidelity: a segmentation filled with textbook signals.

It knows the equations and the values of the textbook, and nothing of the person but where three tissues are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.data.digital_people import DigitalPerson
from model.physics.contrast import signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Image
from warehouse.prompts.record import PromptRecord
from warehouse.quality.tissues import CSF, GM, WM, segment

CHANNEL = {CSF: TISSUES.index("csf"), GM: TISSUES.index("cortex"), WM: TISSUES.index("white_matter")}
SHORT_TR_S = 0.1  # T1w below it without inversion is a gradient echo, above it a spin echo


def sequence_of(record: PromptRecord) -> str:
    """Return the sequence that a prompt means, in the words of `model.physics.protocol`.

    Raises
    ------
    ModelError
        For a contrast that one number of a tissue does not describe, such as angiography.
    """
    fixed = {"T2w": "fast_spin_echo", "PDw": "fast_spin_echo", "FLAIR": "inversion_recovery", "T2starw": "t2star"}
    if record.contrast in fixed:
        return fixed[record.contrast]
    if record.contrast != "T1w":
        raise ModelError(f"the sequence of {record.contrast} cannot be told", f"ask for T1w, {', '.join(fixed)}")
    if record.inversion_time_s is not None:
        return "mprage"
    return "spoiled_gradient_echo" if (record.repetition_time_s or 1.0) < SHORT_TR_S else "spin_echo"


@dataclass(frozen=True)
class Textbook:
    """Renders three tissues of one source by the signal equations and tabulated relaxation times.

    Parameters
    ----------
    source : Source
    affine : (4, 4) array
        Voxel to a world near that of MNI152, RAS+, mm: the segmentation has priors in space.
    """

    source: Source
    affine: NDArray[np.float64]

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """Tissues of the source by its intensities, (i, j, k), as `warehouse.quality.tissues` numbers them."""
        linear = harden(self.source.voxels.astype(np.float64)).astype(np.float32)
        return segment(Image(linear, self.affine), self.source.mask, np.eye(4))

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        """Return the image of the labels, (i, j, k); 0 beyond the brain.

        Raises
        ------
        ModelError
            For another source than the one that was segmented, or a prompt without TR, TE or FA.
        """
        if sources[0] is not self.source:
            raise ModelError("this is not the source that was segmented", "make a look-up for each source")
        tr_s, te_s, angle_deg = target.repetition_time_s, target.echo_time_s, target.flip_angle_deg
        if tr_s is None or te_s is None or angle_deg is None:
            raise ModelError("an image cannot be rendered without TR, TE and flip angle", "give all three")
        played = SequenceProtocol(
            contrast=str(target.contrast),
            sequence=sequence_of(target),
            field_strength_t=target.field_strength_t or 3.0,
            repetition_time_s=tr_s,
            echo_time_s=te_s,
            inversion_time_s=target.inversion_time_s,
            flip_angle_deg=angle_deg,
        )
        signals = signals_of([played])[0].numpy()
        by_label = np.zeros(max(CHANNEL) + 1)
        for label, channel in CHANNEL.items():
            by_label[label] = signals[channel]
        return np.asarray(by_label[self.labels])


def textbook(person: DigitalPerson) -> Textbook:
    """Return the look-up of a digital person's scan."""
    return Textbook(person.source, person.affine)
