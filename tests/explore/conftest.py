"""One browser, one site and one window for all tests of the page in a process."""

import pytest
from explore_site import Stage, browsing


@pytest.fixture(scope="session")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="session")
def stage(browser):
    found = Stage(browser)
    yield found
    found.close()


@pytest.fixture(scope="session")
def site(stage):
    return stage.site


@pytest.fixture
def watched(stage):
    with stage.window() as page:
        yield page
        assert page.problems == []


@pytest.fixture
def large(stage):
    """The window of the site that has a run, too."""
    with stage.window(stage.large) as page:
        yield page
        assert page.problems == []
