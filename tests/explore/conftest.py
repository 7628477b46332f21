"""One browser and one site for all tests of the page in a process."""

import pytest
from explore_site import Watched, browsing, serving, small_workspace


@pytest.fixture(scope="session")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="session")
def site():
    with serving(small_workspace()) as found:
        yield found


@pytest.fixture
def watched(browser, site):
    page = Watched(browser, site)
    yield page
    page.close()
