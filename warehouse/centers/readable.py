"""Read the registrations of a home one by one, so that a broken one keeps no other centre from being used."""

from __future__ import annotations

from dataclasses import dataclass, field

from warehouse.centers.registry import RegisteredCenter, read_registration, registration_files
from warehouse.errors import CenterError, TumsynError
from warehouse.lake.home import Home


@dataclass(frozen=True)
class Registrations:
    """Registered centres of a home.

    Parameters
    ----------
    centers : dict of str to RegisteredCenter
        Those whose file can be used, by identifier.
    errors : dict of str to TumsynError
        Why the others cannot, by the name of their file, which is that of the centre.
    """

    centers: dict[str, RegisteredCenter] = field(default_factory=dict)
    errors: dict[str, TumsynError] = field(default_factory=dict)


def readable(home: Home) -> Registrations:
    """Return the registered centres of a home, and the errors of those that cannot be used.

    `warehouse.centers.registry.registered` refuses them all for one that is broken, which suits a command that a person
    waits for.
    """
    found = Registrations()
    for path in registration_files(home):
        try:
            entry = read_registration(path)
        except TumsynError as error:
            found.errors[path.stem] = error
        except OSError as error:
            found.errors[path.stem] = CenterError(f"{path} cannot be read: {error}", "give this user read permission")
        else:
            found.centers[entry.center.center_id] = entry
    return found
