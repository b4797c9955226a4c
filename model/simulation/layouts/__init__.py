"""The published layout of each of the thirteen centres, filled with simulated people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.simulation.layouts.cohorts import OASIS3_OFFERS, UKB_SIDECARS, camcan, ixi, lemon, nki_rockland, oasis3, ukb
from model.simulation.layouts.hcp import hcp_aging, hcp_development, hcp_young_adult
from model.simulation.layouts.loni import adni, aibl
from model.simulation.layouts.patients import open_ms, ucsf_pdgm
from model.simulation.layouts.plan import CenterPlan, Layout, Look, Place, simulated
from model.simulation.people import SimulatedPerson
from warehouse.centers.registry import Center, shipped
from warehouse.errors import PhantomError

LAYOUTS: Mapping[str, Layout] = {
    layout.__name__: layout
    for layout in (
        *(adni, aibl, camcan, hcp_aging, hcp_development, hcp_young_adult, ixi),
        *(lemon, nki_rockland, oasis3, open_ms, ucsf_pdgm, ukb),
    )
}


def plan_of(center_id: str, people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return where a centre's scans lie and what its tables tell.

    Parameters
    ----------
    center_id : str
        Of the real centre.
    people : sequence of SimulatedPerson
        As `enrol` draws them.

    Raises
    ------
    PhantomError
        When no layout of that centre is known.
    """
    if center_id not in LAYOUTS:
        raise PhantomError(f"there is no simulated centre of {center_id!r}", f"choose from {', '.join(LAYOUTS)}")
    return LAYOUTS[center_id](people)


def definition_of(center_id: str, plan: CenterPlan) -> Center:
    """Return the definition by which a simulated centre is ingested."""
    persons = {
        place.participant_id: place.person.person_id
        for place in plan.places
        if not _is_own(center_id, place.person, plan)
    }
    offers = OASIS3_OFFERS if center_id == "oasis3" else ()
    companions = UKB_SIDECARS if center_id == "ukb" else ()
    return simulated(shipped()[center_id], contrasts=offers, companions=companions, persons=persons)


def _is_own(center_id: str, person: SimulatedPerson, plan: CenterPlan) -> bool:
    """Return whether a person needs no mapping: of this centre alone, under one identifier."""
    names = {place.participant_id for place in plan.places if place.person.person_id == person.person_id}
    return person.person_id.startswith(f"phantom_{center_id}/") and len(names) == 1


__all__ = ["LAYOUTS", "CenterPlan", "Look", "Place", "definition_of", "plan_of"]
