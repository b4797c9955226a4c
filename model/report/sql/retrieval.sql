-- Grain: one row per task, split, population, form, number of candidates and measure, of one text encoder: the last
--        that was recorded. Single fields, recovery and robustness are on the text encoder's own page.
-- Why:   whether images and prompts meet in one space; chance stands beside every figure. Older rows do not say how
--        many people they are of, so that their intervals may be of fewer than ten: they are not shown.
SELECT
    task,
    split,
    population,
    form,
    n_candidates,
    metric,
    n_queries,
    n_people,
    value,
    if(n_people IS NULL, NULL, low) AS low,
    if(n_people IS NULL, NULL, high) AS high,
    chance,
    ideal
FROM core.retrieval_score
WHERE model_id = $text_encoder_id AND field IS NULL AND n_candidates IS NOT NULL
QUALIFY
    row_number() OVER (
        PARTITION BY task, split, population, form, n_candidates, metric
        ORDER BY occurred_at DESC, event_id ASC
    ) = 1
ORDER BY task ASC, n_candidates ASC, metric ASC, split DESC, population ASC, form DESC
