"""The templates of the tests of harmonisation, which quality is measured on too."""

from tests.warehouse.harmonize.conftest import fine_template, saved, template

__all__ = ["fine_template", "saved", "template"]
