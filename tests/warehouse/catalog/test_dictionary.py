"""The data dictionary in docs/ is what the specification says."""

from warehouse.catalog import dictionary
from warehouse.tables import TABLES


def test_the_data_dictionary_has_not_drifted_from_the_specification() -> None:
    assert dictionary.DOCUMENT.read_text(encoding="utf-8") == dictionary.text(), (
        "run python -m warehouse.catalog.dictionary"
    )


def test_every_table_and_column_is_in_the_dictionary() -> None:
    text = dictionary.text()
    for table in TABLES.values():
        section = text.split(f"### {table.name}\n")[1].split("\n### ")[0]
        assert all(f"| `{column.name}` |" in section for column in table.columns), table.name
