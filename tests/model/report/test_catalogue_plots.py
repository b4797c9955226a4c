"""Plots of a catalogue show every row that they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from model.report.catalogue_plots import (
    colours_of,
    draw_ages,
    draw_bars,
    draw_table,
    measures_figure,
    parameters_figure,
)


def test_a_table_writes_its_numbers_and_leaves_missing_fields_empty() -> None:
    drawn = Figure().subplots()
    draw_table(drawn, pd.DataFrame({"T1w": [3.0, 12.0], "T2w": [np.nan, 5.0]}, index=["a", "$b"]))
    assert sorted(text.get_text() for text in drawn.texts) == ["12", "3", "5"]
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["a", "$b"]


def test_a_table_without_any_number_still_names_its_rows_and_columns() -> None:
    drawn = Figure().subplots()
    draw_table(drawn, pd.DataFrame({"T1w": [np.nan]}, index=["a"]))
    assert [text.get_text() for text in drawn.texts] == []
    assert [label.get_text() for label in (*drawn.get_xticklabels(), *drawn.get_yticklabels())] == ["T1w", "a"]


def test_bars_are_named_from_above_and_counted() -> None:
    drawn = Figure().subplots()
    draw_bars(drawn, pd.Series({"first": 1200, "second": 3}))
    assert [text.get_text() for text in drawn.texts] == ["1,200", "3"]
    assert drawn.get_ylim()[0] > drawn.get_ylim()[1]


def test_ages_count_everybody_whose_age_is_known() -> None:
    drawn = Figure().subplots()
    people = pd.DataFrame({"years": [0.0, 34.0, 34.9, np.nan, 103.0], "sex": ["F", "M", "unknown", "F", "O"]})
    draw_ages(drawn, people)
    assert sum(bar.get_height() for bar in drawn.patches) == 4


def test_ages_say_where_none_is_known() -> None:
    drawn = Figure().subplots()
    draw_ages(drawn, pd.DataFrame({"years": [np.nan], "sex": ["F"]}))
    assert drawn.texts[0].get_text() == "no age is known"


def test_parameters_have_a_dot_for_each_known_value_in_the_row_of_its_contrast() -> None:
    scans = pd.DataFrame(
        {
            "contrast_label": ["T1w", "T2w", "T2w"],
            "manufacturer": ["Siemens", "unknown", "Other"],
            "repetition_time_s": [2.3, 4.0, np.nan],
            "echo_time_s": [0.003, 0.09, 0.1],
            "inversion_time_s": [0.9, np.nan, np.nan],
            "flip_angle_deg": [9.0, 150.0, 120.0],
        }
    )
    figure = parameters_figure(scans, ["T1w", "T2w"], "title")
    dots = [np.concatenate([np.asarray(c.get_offsets()) for c in panel.collections]) for panel in figure.axes]
    assert [len(of_panel[np.isfinite(of_panel).all(1)]) for of_panel in dots] == [2, 3, 1, 3]
    [(value, height)] = [row for row in dots[2] if np.isfinite(row).all()]
    assert value == 0.9
    assert abs(height) < 0.5


def test_measures_have_a_panel_each_and_a_ring_for_each_flag() -> None:
    rows = [("cjv", "T1w", "a", 0.4, False), ("cjv", "T2w", "b", 0.5, True), ("efc", "T1w", "a", 0.6, False)]
    values = pd.DataFrame(rows, columns=["measure", "contrast_label", "center_id", "value", "is_flagged"])
    figure = measures_figure(values, {"cjv": "CJV", "snr": "SNR", "efc": "EFC"}, "title")
    assert [panel.get_xlabel() for panel in figure.axes if panel.axison] == ["CJV", "EFC"]
    rings = [c for c in figure.axes[0].collections if len(c.get_facecolors()) == 0 and len(c.get_offsets())]
    assert [np.asarray(ring.get_offsets())[0, 0] for ring in rings] == [0.5]


def test_names_have_colours_of_their_own() -> None:
    found = colours_of(["Siemens", "Other", "Another"], {"Siemens": "#0a8f8f"})
    assert found["Siemens"] == "#0a8f8f"
    assert len(set(map(str, found.values()))) == 3
    assert len(set(map(str, colours_of([str(n) for n in range(18)], {}).values()))) == 18
