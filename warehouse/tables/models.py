"""Tables of trainings, models, scores and gates: events, which are appended and never changed."""

from warehouse.tables.core import IMAGE_ID
from warehouse.tables.spec import BIGINT, BOOLEAN, DOUBLE, INTEGER, JSON, TEXT, TEXTS, TIMESTAMP, Column, Table, inside
from warehouse.tables.volumes import FORMS

KINDS = ("text_encoder", "synthesis")
ALIASES = ("candidate", "champion")
ACTIONS = ("assign", "remove", "reject")
DECIDERS = ("gates", "person", "rollback")
SWEPT = ("echo_time_s", "repetition_time_s", "inversion_time_s", "flip_angle_deg")
DRIFT_VERDICTS = ("same", "drifted", "not_enough_data")
RETRAINING_REASONS = ("first_training", "new_people", "drift", "age", "forced")
VERDICTS = ("passed", "failed", "not_enough_data")

EVENT = (
    Column("event_id", TEXT, "Identity of the record; a repeat of the same one is ignored."),
    Column("occurred_at", TIMESTAMP, "When it was recorded."),
)
MODEL_ID = Column("model_id", TEXT, "First 16 hexadecimal digits of the hash of the weights and their configuration.")
KIND = Column("kind", TEXT, "text_encoder or synthesis.", False, f"kind IN {KINDS}")
RUN_ID = Column("run_id", TEXT, "Training run: hash of its kind, configuration, data and code.")
DATA_ID = Column("data_id", TEXT, "meta.snapshot.data_id of its data.")
PROTOCOL = Column("protocol_hash", TEXT, "Hash of the evaluation's protocol.")

TRAINING_RUN = Table(
    "core.training_run",
    "One row per event of a training run: started, resumed, finished or failed.",
    (
        *EVENT,
        RUN_ID,
        KIND,
        Column("status", TEXT, "started, resumed, finished or failed.", False, "status IN ('started', 'resumed', 'finished', 'failed')"),
        Column("config", JSON, "Configuration of the run."),
        DATA_ID,
        Column("snapshot_id", TEXT, "Snapshot that it read."),
        Column("training_code", TEXT, "Hash of the source code that decides the weights; for older runs version and git commit."),
        Column("seed", BIGINT, "Seed of every random draw."),
        Column("device", TEXT, "cpu or cuda."),
        Column("n_parameters", BIGINT, "Number of trainable parameters.", True, "n_parameters > 0"),
        Column("n_steps", INTEGER, "Number of steps so far.", True, "n_steps >= 0"),
        Column("seconds", DOUBLE, "Wall time of this part of the run, seconds.", True, "seconds >= 0"),
        Column("dagster_run_id", TEXT, "Dagster run that started it; null without Dagster.", True),
        Column("detail", TEXT, "Why it failed; null otherwise.", True),
    ),
    ("event_id",),
    origin="event",
)

TRAINING_METRIC = Table(
    "core.training_metric",
    "One row per run, step, split and measure.",
    (
        *EVENT,
        RUN_ID,
        KIND,
        Column("step", INTEGER, "Step of the run, from 0.", False, "step >= 0"),
        Column("split", TEXT, "train or val.", False, "split IN ('train', 'val')"),
        Column("metric", TEXT, "Name of the measure, e.g. loss."),
        Column("value", DOUBLE, "Its value."),
    ),
    ("event_id",),
    origin="event",
)

MODEL_VERSION = Table(
    "core.model_version",
    "One row per saved checkpoint.",
    (
        *EVENT,
        MODEL_ID,
        KIND,
        RUN_ID,
        DATA_ID,
        Column("text_encoder_id", TEXT, "Text encoder that a synthesis model contains; null for a text encoder.", True),
        Column("path", TEXT, "Folder of the checkpoint, relative to the home.", False, inside("path")),
        Column("n_parameters", BIGINT, "Number of parameters.", False, "n_parameters > 0"),
        Column("size_bytes", BIGINT, "Size of the weights in bytes.", False, "size_bytes > 0"),
        Column("is_simulated", BOOLEAN, "True where all training images are simulated."),
        Column("grid_mm", DOUBLE, "Voxel size of the volumes that it was trained on, mm; null in older rows.", True, "grid_mm > 0"),
        Column("recipe_id", TEXT, "Recipe that harmonised them; null in older rows.", True),
    ),
    ("event_id",),
    origin="event",
)

MODEL_EVENT = Table(
    "core.model_event",
    "One row per assignment or removal of an alias of a model, or rejection of a candidate; the last assigned champion counts.",
    (
        *EVENT,
        MODEL_ID,
        KIND,
        Column("alias", TEXT, "candidate or champion.", False, f"alias IN {ALIASES}"),
        Column("action", TEXT, "assign; remove: a champion that was rolled back; reject: a candidate that failed a gate.", False, f"action IN {ACTIONS}"),
        Column("reason", TEXT, "Why, in words."),
        Column("decided_by", TEXT, "gates, person (promotion by hand), or rollback; null in older rows.", True, f"decided_by IN {DECIDERS}"),
        Column("against_id", TEXT, "Champion that was in force before; null where there was none, and in older rows.", True),
        Column("evaluation_id", TEXT, "Evaluation that it rests on, if any.", True),
        Column("grid_mm", DOUBLE, "Voxel size that the model serves, mm; null where it is unknown, and in older rows.", True, "grid_mm > 0"),
        Column("recipe_id", TEXT, "Recipe that the model serves; null where it is unknown, and in older rows.", True),
    ),
    ("event_id",),
    origin="event",
)

EVALUATION_SCORE = Table(
    "core.evaluation_score",
    "One row per evaluation, model or baseline, task, target image, measure and mask.",
    (
        *EVENT,
        Column("evaluation_id", TEXT, "Hash of model, data and protocol."),
        Column("model_id", TEXT, "Model, or a baseline: baseline:identity, baseline:intensity_map_train, baseline:intensity_map_oracle, baseline:rescan (another scan of the same person and contrast), baseline:start (the model that its training began with)."),
        DATA_ID,
        PROTOCOL,
        Column("form", TEXT, "native: from file to file, on the target's own grid; session: on the harmonised grid; null in older rows, which are session.", True, f"form IN {FORMS}"),
        Column("task", TEXT, "Source contrasts and target contrast, e.g. T1w_to_T2w or T1w+T2w_to_FLAIR."),
        Column("split", TEXT, "train, val, test_internal, test_external, acceptance, or cross_validation: people of the fold that the training held out, whatever their split in the catalogue.", False, "split IN ('train', 'val', 'test_internal', 'test_external', 'acceptance', 'cross_validation')"),
        Column("source_image_ids", TEXTS, "Source images of the synthesis: one, or a set."),
        Column("target_image_id", TEXT, "Image that the result is compared with.", False, IMAGE_ID.rule.replace("image_id", "target_image_id")),
        Column("metric", TEXT, "psnr_db, ssim, mae, nmi; with _fitted after one gain and offset; mae_rim and mae_deep for the outer 3 mm of the mask and what is deeper; steering_mae and steering_gain_db for another contrast in the prompt; identity_psnr_db, identity_ssim, irrelevant_age, irrelevant_vendor, irrelevant_sex (each also with _shift_mm) and tiles_max_difference as model/evaluation/behaviour.py defines them; refused (1) where the path of a user refuses a scan, so that the pair has no figure."),
        Column("mask", TEXT, "brain or volume.", False, "mask IN ('brain', 'volume')"),
        Column("value", DOUBLE, "Its value; lower is better for mae, irrelevant_ and tiles_, higher for the others. Errors are parts of the target's range, from the 0.5th to the 99.5th percentile of its brain."),
    ),
    ("event_id",),
    origin="event",
)

RETRIEVAL_SCORE = Table(
    "core.retrieval_score",
    "One row per text encoder, population, task, field, number of candidates and measure.",
    (
        *EVENT,
        MODEL_ID,
        DATA_ID,
        PROTOCOL,
        Column("task", TEXT, "image_to_prompt, prompt_to_image; image_to_contrast: among seven words; with _clear and _ambiguous for images whose protocol no other contrast may have, and the rest; image_to_agent: T1w against ceT1w; one_field: the right prompt against the same with one field changed; recovery of a number from embeddings, within its contrast; smoothness of embeddings along sweeps of a number; robustness to how prompts are written. Older rows have image_to_echo_time and the like, which one_field replaces."),
        Column("split", TEXT, "Split of the images; unseen_protocols for scans that are simulated for the evaluation."),
        Column("population", TEXT, "real or simulated; null in older rows, and where no image is asked.", True, "population IN ('real', 'simulated')"),
        Column("form", TEXT, "whole heads or stripped ones; null in older rows, and where both are asked together.", True, "form IN ('whole', 'stripped')"),
        Column("field", TEXT, "Field that is changed, recovered or swept, e.g. echo_time_s; of robustness, how the prompts are written; null elsewhere.", True),
        Column("change_low", DOUBLE, "Of one_field: lower bound of the change that the field makes to the signal of some tissue, as a multiple of white matter's; null for the headline, which has all changes from 0.1 on.", True, "change_low >= 0"),
        Column("change_high", DOUBLE, "Upper bound of it; null where there is none.", True, "change_high > 0"),
        Column("n_candidates", INTEGER, "Number of candidates per query; null where nothing is chosen.", True, "n_candidates >= 2"),
        Column("n_queries", INTEGER, "Number of query images, or of prompts where no image is asked.", False, "n_queries >= 1"),
        Column("n_people", INTEGER, "Number of people in these images; null in older rows.", True, "n_people >= 1"),
        Column("metric", TEXT, "recall_at_1, recall_at_5; spearman, r_squared (at least -1); cosine to the embedding of the prompt as it was."),
        Column("value", DOUBLE, "Its value.", False, "value BETWEEN -1 AND 1"),
        Column("low", DOUBLE, "Lower bound of its 95 % interval over people, exact for shares; null for fewer than ten people.", True, "low BETWEEN -1 AND 1"),
        Column("high", DOUBLE, "Upper bound of it.", True, "high BETWEEN -1 AND 1"),
        Column("chance", DOUBLE, "Value for guessing at random.", False, "chance BETWEEN 0 AND 1"),
        Column("ideal", DOUBLE, "Value of an ideal observer of the true signals of the same images' tissues; null in older rows, and where signals are unknown.", True, "ideal BETWEEN -1 AND 1"),
    ),
    ("event_id",),
    origin="event",
)

FIDELITY_SCORE = Table(
    "core.fidelity_score",
    "One row per model or baseline, digital person, point of a sweep and tissue: whether contrast follows the prompt.",
    (
        *EVENT,
        Column("model_id", TEXT, "Model, or a baseline: baseline:textbook (textbook signals after a segmentation) or baseline:identity."),
        Column("data_id", TEXT, "Hash of the settings of the cohort of digital people."),
        PROTOCOL,
        Column("person", TEXT, "Label of the digital person."),
        Column("sweep", TEXT, "Protocol of the sweep, e.g. T2w_fse."),
        Column("field", TEXT, "Number of the prompt that varies, e.g. echo_time_s.", False, f"field IN {SWEPT}"),
        Column("field_value", DOUBLE, "Its value, seconds or degrees.", False, "field_value > 0"),
        Column("tissue", TEXT, "gm or csf.", False, "tissue IN ('gm', 'csf')"),
        Column("true_ratio", DOUBLE, "Signal of the tissue as a multiple of that of white matter, by the independent simulator.", False, "true_ratio >= 0"),
        Column("made_ratio", DOUBLE, "The same in the made image."),
    ),
    ("event_id",),
    origin="event",
)

GATE_VERDICT = Table(
    "core.gate_verdict",
    "One row per model and gate: verdict, measured value and threshold.",
    (
        *EVENT,
        MODEL_ID,
        DATA_ID,
        PROTOCOL,
        Column("gate", TEXT, "Name of the gate, e.g. better_than_identity."),
        Column("against_id", TEXT, "Model that it is compared with, by not_worse_than_champion and not_worse_than_best; null for other gates.", True),
        Column("verdict", TEXT, "passed, failed, or not_enough_data: fewer than ten people. Null in older rows.", True, f"verdict IN {VERDICTS}"),
        Column("passed", BOOLEAN, "True where the verdict is passed."),
        Column("value", DOUBLE, "Lower bound of the measured interval; the mean where there are too few people for an interval.", True),
        Column("threshold", DOUBLE, "Threshold of the gate.", True),
        Column("mean", DOUBLE, "Mean over people; null where nobody was measured, and in older rows.", True),
        Column("n_people", INTEGER, "People who were measured; null in older rows.", True, "n_people >= 0"),
        Column("detail", TEXT, "The verdict in words."),
        Column("snapshot_id", TEXT, "Snapshot that the evaluation or comparison read; null in older rows.", True),
    ),
    ("event_id",),
    origin="event",
)

DRIFT_SCORE = Table(
    "core.drift_score",
    "One row per comparison, field, contrast and aspect: whether new training people differ from those that a model has learned from. People are the units (model/evaluation/drift.py).",
    (
        *EVENT,
        Column("drift_id", TEXT, "Comparison: hash of model, data, recipe, settings and code; a repeated one is recorded once."),
        Column("model_id", TEXT, "Model whose people are the known ones: the champion, or the last trained model where there is none."),
        DATA_ID,
        Column("field", TEXT, "Column of out.image_catalog, measure of core.quality, brain_intensity, brain_relative_spread, or contrast."),
        Column("contrast_label", TEXT, "Contrast of the images; null for fields of a person.", True),
        Column("aspect", TEXT, "value, or presence: the share of people who have one.", False, "aspect IN ('value', 'presence')"),
        Column("test", TEXT, "Function of scipy.stats; null where nothing was tested.", True),
        Column("statistic", DOUBLE, "Its statistic; null where it is infinite.", True),
        Column("p_value", DOUBLE, "Its p value.", True, "p_value BETWEEN 0 AND 1"),
        Column("p_adjusted", DOUBLE, "The same after Benjamini and Hochberg, over all fields of the comparison.", True, "p_adjusted BETWEEN 0 AND 1"),
        Column("effect", DOUBLE, "Difference of the two distributions: largest one of the distribution functions, or half the summed one of the shares.", True, "effect BETWEEN 0 AND 1"),
        Column("n_known", INTEGER, "Number of known people with a value; of presence, of those who could have one.", False, "n_known >= 0"),
        Column("n_new", INTEGER, "Number of new people, likewise.", False, "n_new >= 0"),
        Column("known_values", TEXT, "Median and quartiles, most frequent texts, or share of the known people."),
        Column("new_values", TEXT, "The same of the new people."),
        Column("verdict", TEXT, "same, drifted (p_adjusted and effect beyond their limits), or not_enough_data: too few people.", False, f"verdict IN {DRIFT_VERDICTS}"),
    ),
    ("event_id",),
    origin="event",
)

RETRAINING_DECISION = Table(
    "core.retraining_decision",
    "One row per decision whether to train, with the figures that it was made by.",
    (
        *EVENT,
        Column("decision", TEXT, "train or skip.", False, "decision IN ('train', 'skip')"),
        Column("decided_by", TEXT, "schedule, command, or asset: a preview, which starts nothing.", False, "decided_by IN ('schedule', 'command', 'asset')"),
        Column("reasons", TEXTS, f"Reasons to train, of {', '.join(RETRAINING_REASONS)}; also where something else prevented it."),
        Column("detail", TEXT, "The decision in words."),
        Column("data_id", TEXT, "meta.snapshot.data_id of the published data; null where nothing is published.", True),
        Column("snapshot_id", TEXT, "Snapshot that was read; null where nothing is published.", True),
        Column("champion_id", TEXT, "Champion of the recipe; null where there is none.", True),
        Column("last_success_id", TEXT, "Model that was trained and evaluated last; null where there is none.", True),
        Column("n_people", INTEGER, "Number of people to learn from; null where they are unknown.", True, "n_people >= 0"),
        Column("n_new_people", INTEGER, "Number of those whom neither the champion nor the last success has learned from.", True, "n_new_people >= 0"),
        Column("least_new_people", INTEGER, "Number from which on they are a reason."),
        Column("days_since_success", DOUBLE, "Age of the last success, days; null where there is none.", True, "days_since_success >= 0"),
        Column("most_days", DOUBLE, "Age beyond which it is a reason, days."),
        Column("drift_id", TEXT, "Comparison in core.drift_score; null where none was made.", True),
        Column("n_fields_tested", INTEGER, "Number of fields with enough people; null without a comparison.", True, "n_fields_tested >= 0"),
        Column("n_fields_drifted", INTEGER, "Number of fields that drifted; null without a comparison.", True, "n_fields_drifted >= 0"),
        Column("start", TEXT, "fresh, or warm: from the champion.", False, "start IN ('fresh', 'warm')"),
    ),
    ("event_id",),
    origin="event",
)

MODELS = (
    TRAINING_RUN,
    TRAINING_METRIC,
    MODEL_VERSION,
    MODEL_EVENT,
    EVALUATION_SCORE,
    RETRIEVAL_SCORE,
    FIDELITY_SCORE,
    GATE_VERDICT,
)
RETRAINING = (DRIFT_SCORE, RETRAINING_DECISION)  # recorded for each decision, whether or not a model is trained
