"""Jobs, the sensors that react to new data, and the schedule of trainings; whatever Dagster starts by itself."""
