"""Privacy: selects the fields of sidecars and tables that may be stored, and drops and counts all others.

A list of identifying fields would never be complete, because operators type names into comments and converters copy
them. Therefore sidecar keys are allowed one by one, and a cell of a table must be a number, a code that the JSON beside
the table declares (`Levels`), or a common word such as yes, control or right.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from warehouse.ingest.findings import LARGEST_INTEGER, shown

MOST_CHARACTERS = 64
MOST_NUMBERS = 4096
SERIALS = frozenset(
    {"deviceserialnumber", "scannerserialnumber", "gantryserialnumber", "magnetserialnumber", "serialnumber", "serial"}
    | {"serialno", "deviceserial", "scannerserial", "deviceserialno", "scannerserialno"}
)
CONTAINERS = ("global", "const")  # in which dcmstack nests the fields that dcm2niix writes at the top

# Numbers, truth values, or lists of numbers. Text is kept only where it is a number with a unit.
NUMBER_KEYS = frozenset(
    """
    RepetitionTime RepetitionTimeExcitation RepetitionTimePreparation RepetitionTimeInversion EchoTime EchoTime1 EchoTime2
    EchoTime3 EchoTime4 EchoTimeDifference InversionTime FlipAngle MagneticFieldStrength SliceThickness SpacingBetweenSlices
    SliceTiming ImagingFrequency PixelBandwidth EchoTrainLength EchoNumber NumberOfAverages SAR DwellTime VariableFlipAngleFlag
    TotalReadoutTime EffectiveEchoSpacing EstimatedTotalReadoutTime EstimatedEffectiveEchoSpacing BandwidthPerPixelPhaseEncode
    DerivedVendorReportedEchoSpacing TrueEchoSpacing AcquisitionDuration TotalScanTimeSec DelayTime NumberShots
    AcquisitionMatrixPE ReconMatrixPE BaseResolution PhaseResolution PhaseEncodingSteps PhaseEncodingStepsNoPartialFourier
    NumberOfPhaseEncodingSteps PercentPhaseFOV PercentPhaseFieldOfView PercentSampling PhaseOversampling SliceOversampling
    ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane ParallelReductionOutOfPlane AccelerationFactorPE
    MultibandAccelerationFactor AccelNumReferenceLines RefLinesPE EPIFactor PartialFourier WaterFatShift ShimSetting TxRefAmp
    ImageOrientationPatientDICOM OrientationAngle PhilipsRescaleSlope PhilipsRescaleIntercept PhilipsScaleSlope
    PhilipsRWVSlope PhilipsRWVIntercept UsePhilipsFloatNotDisplayScaling Interpolation2D RawImage SpoilingState MTState
    MTFlipAngle MTOffsetFrequency MTPulseDuration SpoilingRFPhaseIncrement SpoilingGradientMoment SpoilingGradientDuration
    NonlinearGradientCorrection AcquisitionNumber SeriesNumber AcquisitionVoxelSize ReconVoxelSize LabelingDuration
    PostLabelingDelay ContrastBolusVolume ContrastBolusTotalDose NumberOfTransmitChannels NumberReceiveCoilActiveElements
    """.split()  # noqa: SIM905 - a list would be one word a line
)

# Short texts that name a device, a method or a state.
CODE_KEYS = frozenset(
    """
    Manufacturer ManufacturersModelName ManufacturerModelName SoftwareVersions HardcopyDeviceSoftwareVersion Modality
    MRAcquisitionType ScanningSequence SequenceVariant ScanOptions SequenceName PulseSequenceName InternalPulseSequenceName
    PulseSequenceType PulseSequenceDetails ImageType ComplexImageComponent PatientPosition BodyPartExamined BodyPart
    ReceiveCoilName ReceiveCoilActiveElements CoilString TransmitCoilName CoilCombinationMethod MatrixCoilMode
    PhaseEncodingDirection PhaseEncodingAxis PhaseEncodingPolarityGE InPlanePhaseEncodingDirection
    InPlanePhaseEncodingDirectionDICOM SliceEncodingDirection ImageOrientationText ParallelAcquisitionTechnique
    PartialFourierEnabled PartialFourierDirection SpoilingType MTPulseShape DiffusionScheme AcquisitionMatrix
    ConversionSoftware ConversionSoftwareVersion ArterialSpinLabelingType TaskName BIDSVersion DatasetType License DatasetDOI
    """.split()  # noqa: SIM905 - a list would be one word a line
)
PERSON_KEYS = {  # sex and age, each in its form only
    "PatientSex": re.compile(r"[MFOmfo]|male|female|other", re.IGNORECASE),
    "PatientAge": re.compile(r"\d{1,3}(?:\.\d+)?|\d{3}[YMWD]"),
}
AGENT_KEYS = ("ContrastBolusAgent", "ContrastBolusIngredient")
ALLOWED_KEYS = NUMBER_KEYS | CODE_KEYS | PERSON_KEYS.keys() | set(AGENT_KEYS)
NO_AGENT = re.compile(
    r"(?:none|no|n|n/?a|nil|not given|none given|without.*|no ?contrast.*|non.?contrast|no(gad|gd)|pre(contrast)?|native|unknown|false|-+|0|\.)?",
    re.IGNORECASE,
)
# Labels of the entity `acq` that name an agent, as in acq-postcontrast or acq-gdpre.
AGENT = r"(?:contrast|gado?(?:linium|vist|vr)?|gd|agent)"
AFTER_AGENT = re.compile(rf"(?:post|with|after){AGENT}|{AGENT}(?:post|enhanced)", re.IGNORECASE)
BEFORE_AGENT = re.compile(rf"(?:pre|non?|without|before){AGENT}|{AGENT}pre", re.IGNORECASE)

# Words in the names of columns that may hold a person's identity or place, or a date.
IDENTIFYING_WORDS = frozenset(
    """
    name names surname firstname lastname fullname forename nickname initials born birthday birthdate birthyear birthplace
    dob yob geburtsdatum geburtstag geburtsjahr jahrgang address street zip zipcode postcode postal plz city town county
    country hospital clinic institution station department ward phone telephone tel mobile fax email mail ssn nhs mrn passport
    insurance uid uids guid subjectkey accession date dates datum datetime timestamp serial physician doctor operator
    radiologist technician comment comments note notes remark remarks contact gps latitude longitude ip url
    """.split()  # noqa: SIM905 - a list would be one word a line
)
IDENTIFYING_NAME = re.compile(
    r".*(dateofbirth|birthdate|(?<!up)(?<!man)(?<!vali)(?<!candi)date|datetime|timestamp|surname|firstname|lastname|guid)"
    r"|(acq|acquisition|scan|series|study|content|exam|visit|session|mri|mr)(time|day|month|year)|(day|month|year)(of.*)?"
    r"|(birth|born)(day|month|year)?|.*serial(number|no)?|pt?dob(yy|mm|dd)?|(medical|hospital|patient|chart)(record|no|nr)"
)
AT_BIRTH = frozenset({"weight", "order", "height", "length", "gestational", "age"})
IDENTIFIER_WORDS = frozenset({"id", "ids", "identifier", "no", "nr", "number", "num", "record", "chart", "key"})
QUANTITY_WORDS = frozenset({"age", "days", "months", "years", "since", "between", "of", "n", "count", "total", "per"})
LABEL_COLUMNS = frozenset(
    {"participant_id", "participant", "participants_id", "subject", "subject_id", "sub", "session_id", "session", "ses"}
)
CODE_COLUMNS = frozenset(
    """
    handedness hand group diagnosis dx site scanner vendor manufacturer field visit session timepoint wave split
    phase arm treatment condition cohort status outcome hemisphere side lobe laterality population species strain agegroup
    """.split()  # noqa: SIM905 - a list would be one word a line
)
COMMON_WORDS = frozenset(
    """
    yes no y n true false t f m male female man woman boy girl other o left right both ambidextrous l r a b c d control
    controls patient patients case cases healthy hc pat con ctrl normal abnormal positive negative pos neg pre post baseline
    followup bl absent present pass fail none low medium high mild moderate severe train test validation n/a na nan null
    unknown missing
    """.split()  # noqa: SIM905 - a list would be one word a line
)
NUMBER = re.compile(r"[<>=~]{0,2}[+-]?(?:\d{1,7}(?:\.\d{1,17})?|\.\d{1,17})(?:[eE][+-]?\d{1,3})?\+?")
RANGE = re.compile(r"\d{1,3}(?:\.\d+)?\s*(?:-|–|to)\s*\d{1,3}(?:\.\d+)?")
CODE = re.compile(r"[^\W_][\w+/.-]{0,23}")  # one word
LABEL = re.compile(r"(?:sub-|ses-)?[^\W_][\w.+-]{0,63}")
DATE = re.compile(
    r"\b(?:19|20)\d\d[-/.](?:0\d|1[0-2])[-/.]\d\d\b|\b\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d\b|\b(?:19|20)\d{6}\b"
)
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")


def clean_text(text: str) -> str:
    """Return a text without control characters (NUL padding among them) and without blanks around it."""
    return (CONTROLS.sub(" ", text) if not text.isprintable() else text).strip()


def clean_sidecar(fields: Mapping[str, object], salt: bytes) -> tuple[dict[str, object], int, str | None]:
    """Return the fields of a sidecar that may be stored.

    Parameters
    ----------
    fields : mapping
        The JSON object.
    salt : bytes
        The home's secret.

    Returns
    -------
    clean : dict
        Allowed fields; a value that is neither a number nor a code is replaced by a description, e.g. its length.
    n_dropped : int
        Number of fields that were dropped or replaced.
    device_id : str or None
        Salted hash of the device's serial number, where there was one.
    """
    clean: dict[str, object] = {}
    n_dropped = 0
    for name, value in fields.items():
        if name in NUMBER_KEYS:
            kept = value if isinstance(value, float) and abs(value) < math.inf else _measure(value)
        elif name in CODE_KEYS:
            kept = _code(value)
        elif name in AGENT_KEYS:
            kept = _agent(value)
        elif name in PERSON_KEYS:
            kept = _person(name, value)
        else:
            n_dropped += 1
            continue
        n_dropped += isinstance(kept, str) and kept.startswith("(")
        clean[name] = kept
    return clean, n_dropped, _device(fields, salt)


def clean_row(
    row: Mapping[str, str],
    declared: Mapping[str, Collection[str]] | None = None,
    named: Collection[str] = (),
    private: Collection[str] = (),
    read: Collection[str] = (),
) -> dict[str, str]:
    """Return the cells of a table's row that may be stored.

    Parameters
    ----------
    row : mapping of str to str
        Cells by column.
    declared : mapping of str to collection of str, optional
        Codes that the JSON beside the table explains, by column.
    named : collection of str
        Columns of labels, which may hold one word.
    private : collection of str
        Columns that the layout declares private.
    read : collection of str
        Columns of age and sex, which may hold a number with a unit or a word of up to three letters.
    """
    declared = declared or {}
    return {
        name: value
        for name, value in row.items()
        if name not in private
        and (name in named or not is_identifying(name))
        and (
            _is_harmless(name, value, declared.get(name, ()), name in named) or (name in read and shown(value) == value)
        )
    }


@lru_cache(maxsize=4096)
def is_identifying(column: str) -> bool:
    """Return whether a column may identify a person, a place or a date, by its name.

    Examples
    --------
    >>> is_identifying("date_of_birth"), is_identifying("fluid"), is_identifying("reading_score")
    (True, False, False)
    """
    plain = re.sub(r"[^a-z0-9]", "", column.lower())
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column).lower()))
    if column.lower() in LABEL_COLUMNS:
        return False
    if not plain or plain in IDENTIFYING_WORDS or IDENTIFYING_NAME.fullmatch(plain) or words & IDENTIFYING_WORDS:
        return True
    if "birth" in words:
        return not words & AT_BIRTH
    return bool(words & IDENTIFIER_WORDS) and not words & QUANTITY_WORDS


def _is_harmless(column: str, value: str, codes: Collection[str], is_named: bool) -> bool:
    if not value or value in codes or value.lower() in COMMON_WORDS:
        return True
    if NUMBER.fullmatch(value):  # leading zeros mark the number of a record
        return is_named or not (value.isdigit() and len(value) > 3 and value[0] == "0")
    if RANGE.fullmatch(value):
        return True
    if DATE.search(value):
        return False
    if is_named or column.lower() in LABEL_COLUMNS:
        return LABEL.fullmatch(value) is not None
    if not CODE_COLUMNS.isdisjoint(column.lower().replace("-", "_").split("_")):
        return CODE.fullmatch(value) is not None or COMMON_WORDS.issuperset(value.lower().split())
    return False


def _measure(value: object) -> object:
    """Return a number, a list of numbers or a text of a number unchanged, and a description of anything else."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if abs(value) < LARGEST_INTEGER else "(number too large)"
    if isinstance(value, list) and len(value) <= MOST_NUMBERS and all(map(_is_number, value)):
        return value
    return shown(clean_text(value) if isinstance(value, str) else value)


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value) and abs(value) < LARGEST_INTEGER


def _code(value: object) -> object:
    if isinstance(value, str):
        text = clean_text(value)
        return text if len(text) <= MOST_CHARACTERS and not DATE.search(text) else _length(text)
    if isinstance(value, list) and len(value) <= 16 and all(isinstance(part, str | float | int) for part in value):
        return [_code(part) for part in value]
    return _measure(value)


def _person(name: str, value: object) -> object:
    if isinstance(value, float | int | str):
        text = clean_text(str(value))
        if PERSON_KEYS[name].fullmatch(text) or not text:
            return text
    return _length(str(value))


def _agent(value: object) -> object:
    """Return GIVEN or NONE, because the text about an agent may name people."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, bool):
        return "GIVEN" if value else "NONE"
    if not isinstance(value, str):
        return _length(str(value))
    return "NONE" if NO_AGENT.fullmatch(clean_text(value)) else "GIVEN"


def _length(text: str) -> str:
    """Return a description of a text by its length."""
    return f"(text of {len(text)} characters)"


def _device(fields: Mapping[str, object], salt: bytes, depth: int = 0) -> str | None:
    for name, value in fields.items():
        if isinstance(value, dict):
            if depth < len(CONTAINERS) and name in CONTAINERS and (found := _device(value, salt, depth + 1)):
                return found
        elif "erial" in name and re.sub(r"[^a-z]", "", name.lower()) in SERIALS and (found := _hashed(value, salt)):
            return found
    return None


def _hashed(value: object, salt: bytes) -> str | None:
    text = re.sub(r"\.0$", "", json.dumps(value) if not isinstance(value, str) else clean_text(value))
    if not text or text.lower() in {"n/a", "none", "nan", "null"}:
        return None
    return hmac.new(salt, text.encode(errors="replace"), hashlib.sha256).hexdigest()[:16]
