"""A served page of the small models, and its visitor."""

import pytest

from tests.page.served import LIMITS, Visitor, add_small_defaults, served


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        add_small_defaults(tmp_path_factory.mktemp("page"), patch)
        with served(LIMITS) as server:
            yield server


@pytest.fixture
def visitor(server):
    return Visitor(server)
