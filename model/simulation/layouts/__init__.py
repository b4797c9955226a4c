"""The published layouts of the thirteen centres, filled with simulated people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from model.simulation.layouts.cohorts import OASIS3_OFFERS, UKB_SIDECARS, camcan, ixi, lemon, nki_rockland, oasis3, ukb
from model.simulation.layouts.hcp import hcp_aging, hcp_development, hcp_young_adult
from model.simulation.layouts.loni import adni, aibl
from model.simulation.layouts.patients import open_ms, ucsf_pdgm
from model.simulation.layouts.plan import CenterPlan, Layout, Look, Place
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
    """Return the plan of a centre for its people, without the contrasts that they miss.

    Parameters
    ----------
    center_id : str
        Of the real centre.
    people : sequence of SimulatedPerson
        As `enrol` returns them.

    Raises
    ------
    PhantomError
        When no layout of that centre is known.
    """
    if center_id not in LAYOUTS:
        raise PhantomError(f"there is no simulated centre of {center_id!r}", f"choose from {', '.join(LAYOUTS)}")
    plan = LAYOUTS[center_id](people)
    return replace(plan, places=[place for place in plan.places if place.label not in place.person.missing])


def definition_of(center_id: str, plan: CenterPlan) -> Center:
    """Return the definition of a simulated centre, for its ingest.

    It has the layout of the real centre without the published protocols, since scans of a contrast differ, and without
    `resampled`, since simulated scans are as acquired. It maps participants to persons where a person is seen by
    several centres or under several identifiers.
    """
    real = shipped()[center_id]
    document = real.model_dump(mode="json", exclude_defaults=True)
    layout = document["layout"]
    layout.pop("protocols", None)
    for pattern in layout.get("images", []):
        pattern.pop("resampled", None)
    if center_id == "ukb":
        layout["companions"] = [*UKB_SIDECARS, *layout.get("companions", [])]
    persons = {
        place.participant_id: place.person.person_id
        for place in plan.places
        if not _is_own(center_id, place.person, plan)
    }
    if persons:
        layout["persons"] = persons
    kept = {name: document[name] for name in ("city", "country", "latitude_deg", "longitude_deg") if name in document}
    return Center.model_validate(
        kept
        | {
            "center_id": f"phantom_{center_id}",
            "title": f"{real.title} (simulated)",
            "role": real.role,
            "is_simulated": True,
            "license": "as this software: made by it, of no person",
            "access": "tumsyn phantom",
            "contrasts": [*real.contrasts, *(OASIS3_OFFERS if center_id == "oasis3" else ())],
            "layout": layout,
        }
    )


def _is_own(center_id: str, person: SimulatedPerson, plan: CenterPlan) -> bool:
    """Return whether a person is seen by this centre alone and under one identifier."""
    names = {place.participant_id for place in plan.places if place.person.person_id == person.person_id}
    return person.person_id.startswith(f"phantom_{center_id}/") and len(names) == 1


__all__ = ["LAYOUTS", "CenterPlan", "Look", "Place", "definition_of", "plan_of"]
