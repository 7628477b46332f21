"""Between a study and its runs on other machines: lines and states one way, the word to stop the other way."""

Files = dict[str, bytes]


class Mailbox:
    """An actor of the cluster, which every run writes to twice a second and the study empties."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.states: dict[str, Files] = {}
        self.begun: set[str] = set()
        self.is_stopping = False

    def tell(self, name: str, lines: list[str], state: Files | None) -> bool:
        """Take a run's new lines, and its files where these changed; return whether it is to save and stop."""
        self.begun.add(name)
        self.lines += [(name, line) for line in lines]
        if state is not None:
            self.states[name] = state
        return self.is_stopping

    def stop(self) -> None:
        """Let every run save and stop from now on."""
        self.is_stopping = True

    def take(self) -> tuple[list[tuple[str, str]], dict[str, Files], set[str]]:
        """Return and forget the lines, the states and the names of the runs that came since the last call."""
        found = self.lines, self.states, self.begun
        self.lines, self.states, self.begun = [], {}, set()
        return found
