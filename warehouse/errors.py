"""Errors of the project; each states what is wrong, where, why, and the remedy."""


class TumsynError(ValueError):
    """Base of every error that a user can remedy.

    Parameters
    ----------
    what : str
        What is wrong, with the value and the file it was found in.
    remedy : str
        What the user should do next.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}\n  -> {remedy}" if remedy else what)


class CenterError(TumsynError):
    """A centre's definition or registration is wrong."""


class LayoutError(TumsynError):
    """A centre's folder does not match its layout."""


class SidecarError(TumsynError):
    """A JSON sidecar cannot be read."""


class ParticipantsError(TumsynError):
    """A table of participants cannot be read."""


class HarmonizeError(TumsynError):
    """A scan cannot be harmonised; names the stage and a reason code.

    Parameters
    ----------
    stage : {"load", "mask", "bias", "register", "resample", "write", "worker"}
    reason : str
        Short code, as `core.volume_rejection` lists it.
    """

    def __init__(self, stage: str, reason: str, what: str, remedy: str) -> None:
        self.stage = stage
        self.reason = reason
        super().__init__(what, remedy)


class VolumeError(TumsynError):
    """A store of a volume is absent, damaged, or cannot be read here; or an export would overwrite something."""


class CatalogueError(TumsynError):
    """The catalogue is absent, or a query was refused."""


class PublishError(TumsynError):
    """A snapshot failed its checks and was not published."""


class PhysicsError(TumsynError):
    """A protocol or a tissue is not physically possible."""


class PhantomError(TumsynError):
    """A simulated head, scan or cohort cannot be made with the given settings."""


class PromptError(TumsynError):
    """A prompt cannot be understood."""


class ModelError(TumsynError):
    """A model is absent, damaged or cannot be used here; or a training cannot run with the given settings."""
