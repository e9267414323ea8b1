"""What a check of conformance is, what it is told of the server, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["passed", "failed", "not run"]
Check = tuple[str, Callable[[], None]]  # what is promised, and a call that raises where it does not hold


@dataclass(frozen=True, slots=True)
class Target:
    """A running server and one model of it.

    Attributes:
        url: of its HTTP, without a trailing slash.
        grpc: its gRPC as host:port; None where it has none.
        model: the model that is asked.
        ids: a short sequence of token ids that the model takes.
        text: a text that the model takes.
        inputs, outputs: names to Open Inference datatypes, as the model's metadata tells them.
    """

    url: str
    grpc: str | None
    model: str
    ids: tuple[int, ...]
    text: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def host(self) -> str:
        """Host and port of its HTTP."""
        return self.url.partition("://")[2]

    @property
    def raw_output(self) -> str:
        """The first output of numbers, which is there for token ids too."""
        numbers = [name for name, datatype in self.outputs.items() if datatype == "FP32"]
        return "logits" if "logits" in numbers else numbers[-1]

    @property
    def takes_text(self) -> bool:
        """Whether the model takes a text alone."""
        return "text" in self.inputs


@dataclass(frozen=True, slots=True)
class Client:
    """A client of somebody else's.

    Attributes:
        name: as the report calls it.
        distribution: the package that carries it; None for what Python has.
        modules: what must be importable.
        grpc: whether it needs the server's gRPC.
        checks: made once the modules are there.
    """

    name: str
    distribution: str | None
    modules: tuple[str, ...]
    checks: Callable[[Target], Iterator[Check]]
    grpc: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check.

    Attributes:
        client: its name.
        version: of the client's package.
        check: what was promised.
        state: passed, failed, or not run.
        reason: of what did not pass.
    """

    client: str
    version: str
    check: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes.

    Attributes:
        url: what was asked.
        model: which model.
        outcomes: in the order of the checks.
    """

    url: str
    model: str
    outcomes: tuple[Outcome, ...]

    def count(self, state: State) -> int:
        """How many checks came out so."""
        return sum(outcome.state == state for outcome in self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for ``--json``."""
        return {
            "url": self.url,
            "model": self.model,
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "not_run": self.count("not run"),
            "outcomes": [
                {
                    "client": one.client,
                    "version": one.version,
                    "check": one.check,
                    "state": one.state,
                    "reason": one.reason,
                }
                for one in self.outcomes
            ],
        }


def expect(truth: bool, said: str) -> None:
    """Fail a check with what was seen instead.

    Raises:
        AssertionError: not so.
    """
    if not truth:
        raise AssertionError(said)
