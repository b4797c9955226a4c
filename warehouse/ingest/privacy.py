"""What identifies a person, a place or a moment, and never enters the lake.

The one list: DICOM attributes that the Basic Application Level Confidentiality Profile removes (DICOM PS3.15, table
E.1-1), as far as converters write them to sidecars, and the columns by which tables of participants name people.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache

SERIALS = re.compile(r"(device|scanner|gantry|magnet)?serial(number|no)?|deviceserialnumber")

# Names are compared in lower case, letters and digits only.
IDENTIFYING = re.compile(
    r"""
    (patient|participant|subject|person|first|last|full|given|family|sur|maiden|middle|mothers?birth)*s?names?\d* | initials
  | (other)?patient(id|ids|identifier) | issuerofpatientid | patientprimarylanguagecodesequence
  | .*(birthdate|birthtime|dateofbirth|birthday|placeofbirth|birthplace|birthname) | .*dob(yy|mm|dd|year)? | birth | birthyear | yearofbirth
  | .*address(es)? | street | postcode | postalcode | zip(code)? | city(ofbirth)? | county | region(ofresidence)?
  | .*(telephone|phone|mobile|fax|email|mail)(number|numbers|s)?
  | ssn | socialsecurity(number)? | nhsnumber | mrn | medicalrecord(number|locator)? | hospital(id|number)? | passport | insuranceplanidentification
  | ethnicgroup | occupation | militaryrank | religiouspreference | countryofresidence | regionofresidence | smokingstatus
  | patient(comments|state|transportarrangements|weight|size) | additionalpatienthistory | medicalalerts | allergies | imagecomments
  | institution.* | hospital(name)? | .*departmentname | station(name|aetitle)? | plateid | detectorid | cassetteid | gantryid
  | (referring|performing|requesting|reading|operators?|physicians?|radiologist|technician|namesof|consulting|scheduledperforming).*
  | .*physicians?(name|names|ofrecord)? | nameofphysicians.* | operators?(name)?
  | requestedprocedure.* | requestattributessequence | performedprocedurestep.* | procedurestepdescription | procedurestepid
  | study(id|description|comments|date|time|instanceuid) | accessionnumber | filler.* | placerorder.* | admi(ssion|tting).*
  | .*uids? | .*instanceuid
  | (acquisition|series|content|instancecreation|instancecoercion|overlay|curve|study|contributiondate|scan|mri|mr|exam|visit|session
      |examination|birth|issue|presentationcreation|structureset|treatment|creation|test|interview|assessment|death|update|start|end)
      (date|time|datetime|datestamp|timestamp)s?
  | acqdate | subjectkey | guid | date | datetime | timestamp | time | dateof.* | acqtime | frameacquisitiondatetime | framereferencedatetime | scanneddate
  | dateoflastcalibration | timeoflastcalibration | daterange
    """,
    re.VERBOSE,
)


def scrub(fields: Mapping[str, object], salt: bytes) -> tuple[dict[str, object], int, str | None]:
    """Drop every identifying field, at any depth.

    Parameters
    ----------
    fields : mapping
        A sidecar, or a row of a table.
    salt : bytes
        The home's secret.

    Returns
    -------
    clean : dict
        The fields that may be kept.
    n_dropped : int
        How many were dropped.
    device_id : str or None
        Salted hash of the device's serial number, where there was one.
    """
    clean: dict[str, object] = {}
    n_dropped, device_id = 0, None
    for name, value in fields.items():
        verdict = _verdict(name)
        if verdict == "serial":
            n_dropped += 1
            device_id = device_id or _device(value, salt)
        elif verdict == "identifying":
            n_dropped += 1
        elif isinstance(value, dict | list):
            clean[name], inner, found = _value(value, salt)
            n_dropped, device_id = n_dropped + inner, device_id or found
        else:
            clean[name] = value
    return clean, n_dropped, device_id


@lru_cache(maxsize=65536)
def _verdict(name: str) -> str:
    """Return serial, identifying or harmless; the same few hundred names come back in every sidecar."""
    key = re.sub(r"[^a-z0-9]", "", name.lower())
    if SERIALS.fullmatch(key):
        return "serial"
    return "identifying" if IDENTIFYING.fullmatch(key) else "harmless"


def _value(value: object, salt: bytes) -> tuple[object, int, str | None]:
    if isinstance(value, dict):
        return scrub(value, salt)
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        parts = [_value(item, salt) for item in value]
        device = next((found for _, _, found in parts if found), None)
        return [item for item, _, _ in parts], sum(n for _, n, _ in parts), device
    return value, 0, None


def _device(value: object, salt: bytes) -> str | None:
    text = re.sub(r"\.0$", "", str(value).strip())
    if not text or text.lower() in {"n/a", "none", "nan"}:
        return None
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:16]
