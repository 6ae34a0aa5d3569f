"""What the tests of bounds share."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def same_numbers_in_any_order(request, monkeypatch):
    """Begin a module's generator anew for each test: what it draws does not depend on which others ran."""
    if hasattr(request.module, "RNG"):
        monkeypatch.setattr(request.module, "RNG", np.random.default_rng(0))
