"""What tests say about themselves."""

import pytest

on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what happens before the database is asked, or beside it: once is enough."""
