"""The errors that the warehouse raises: each says what, where, why and what to do."""


class TumsynError(ValueError):
    """Base of every error that a user can mend.

    Parameters
    ----------
    what : str
        What is wrong, with the value and the file it was found in.
    mend : str
        What the user should do next.
    """

    def __init__(self, what: str, mend: str = "") -> None:
        self.what = what
        self.mend = mend
        super().__init__(f"{what}\n  -> {mend}" if mend else what)


class CenterError(TumsynError):
    """A centre's definition or registration is wrong."""


class LayoutError(TumsynError):
    """A centre's folder is not what its layout says."""


class SidecarError(TumsynError):
    """A JSON sidecar cannot be read."""


class ParticipantsError(TumsynError):
    """A table of participants cannot be read."""


class HeaderError(TumsynError):
    """A NIfTI header cannot be trusted."""


class CatalogueError(TumsynError):
    """The catalogue is absent, or a query was refused."""


class PublishError(TumsynError):
    """A snapshot failed its checks and was not published."""
