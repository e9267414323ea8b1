"""Which versions of which models are served, kept in step with a store.

Promises, after TensorFlow Serving: a new version is loaded in the background and warm before it
answers; the old one leaves only then, after its requests; a version that fails to load leaves the
old one serving and says why; a label moves only onto a version that is AVAILABLE. Ours besides: a
store that cannot be read, or suddenly is empty, changes nothing.

Source: TensorFlow Serving's AvailabilityPreservingPolicy and FileSystemStoragePathSource.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager

from penjing.core.errors import ModelNotFoundError, NotFoundError, NotReadyError, PenjingError
from penjing.serve.catalogue import Catalogue
from penjing.serve.loading import EngineOpener, load, open_bundle_engine
from penjing.serve.recipe import ServeRecipe
from penjing.serve.shelf import Shelf
from penjing.serve.versions import State, Version, left_after
from penjing.serve.wishes import Wishes

_LOG = logging.getLogger(__name__)


class Models:
    """See the module.

    Args:
        catalogue: what there is.
        recipe: what of it to serve.
        open_with: opens a bundle's engine; tests hand in their own.

    Attributes:
        catalogue: as given.
        wishes: what of it is to be served now.
    """

    def __init__(
        self, catalogue: Catalogue, recipe: ServeRecipe, *, open_with: EngineOpener = open_bundle_engine
    ) -> None:
        self.catalogue = catalogue
        self.wishes = Wishes.of(recipe)
        self._recipe = recipe
        self._open_with = open_with
        self._shelves: dict[str, Shelf] = {}
        self._unseen: frozenset[str] = frozenset()
        self._late: frozenset[str] = frozenset()
        self._was_ready = False
        self._leaving: list[threading.Thread] = []
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._awaited: list[threading.Event] = []
        self._loader = threading.Thread(target=self._keep_in_step, name="model loader", daemon=True)

    def start(self) -> None:
        """Begin to load in the background, and to poll if the recipe says so."""
        self._loader.start()

    def close(self, *, wait_s: float = 5.0) -> None:
        """Unload everything, waiting at most ``wait_s`` for each version's requests."""
        self._stop.set()
        self._wake.set()
        if self._loader.is_alive():
            self._loader.join(timeout=wait_s)
        for shelf in self._shelves.values():
            for version in shelf.available():
                self._unload(version, wait_s=wait_s)
        for thread in self._leaving:
            thread.join(timeout=2 * wait_s)

    def names(self) -> list[str]:
        """Models that are served or meant to be, sorted."""
        wished = self.wishes.models or ()
        return sorted(wished if self.wishes.is_complete else {*self._shelves, *self._unseen, *wished})

    def all(self) -> list[Version]:
        """Every version that was ever taken up."""
        return [version for shelf in self._shelves.values() for version in shelf.versions.values()]

    def knows(self, model: str) -> bool:
        """Whether anything of a model was ever seen."""
        return model in self._shelves

    def shelf(self, model: str) -> Shelf | None:
        """The versions of a model; None if nothing of it was ever seen."""
        return self._shelves.get(model)

    def hold(self, model: str, ref: int | str | None = None) -> AbstractContextManager[Version]:
        """Use a version: it stays loaded until the block ends. See :meth:`enter`."""
        return left_after(self.enter(model, ref))

    def why_not_ready(self) -> dict[str, str]:
        """Model → why it is not ready, for all whom the server awaits; empty when it is ready.

        A model is ready once each version that was wanted at first is loaded and warm, or has failed while another
        is available. A model that appears while the server is ready is not awaited: it makes nobody else wait.
        """
        reasons = {name: self.why_not(name) for name in self.names() if name not in self._late}
        if not reasons:
            return {"": "no model has been found yet"}
        return {name: reason for name, reason in reasons.items() if reason}

    def has_given_up(self) -> bool:
        """Whether a model has nothing available, nothing to come, and a version that failed."""
        return any(
            not shelf.available()
            and any(version.error for version in shelf.versions.values())
            and not any(version.state in (State.START, State.LOADING) for version in shelf.versions.values())
            for name, shelf in self._shelves.items()
            if name in self.names()
        )

    def serve(self, wishes: Wishes) -> threading.Event:
        """Serve something else from now on. See :meth:`look_again`."""
        self.wishes = wishes
        return self.look_again(*self.names())

    def look_again(self, *models: str) -> threading.Event:
        """Look for versions now instead of at the next poll; try anew those of ``models`` that failed to load.

        Returns:
            Set once that has been done. The call itself returns at once.
        """
        done = threading.Event()
        for version in self.all():
            if version.model in models:
                version.forget_failure()
        self._awaited.append(done)
        self._wake.set()
        return done

    def reconcile(self) -> None:
        """Bring what is served in step with the catalogue, once. Blocks while versions load."""
        wishes = self.wishes
        try:
            names = self.catalogue.models() if wishes.models is None else wishes.models
        except (PenjingError, OSError) as error:
            _LOG.warning("the store cannot be read, serving goes on as it is: %s", error)
            return
        # Known, so that nobody is told "ready" before their turn.
        unseen = frozenset(names) - self._shelves.keys()
        if self._was_ready:
            self._late |= unseen - frozenset(wishes.models or ())
        self._unseen = unseen
        for name in names:
            try:
                self._reconcile(name, wishes)
            except (PenjingError, OSError) as error:
                _LOG.warning("model %s cannot be looked up, serving goes on as it is: %s", name, error)
            self._unseen -= {name}
        self._late = frozenset(name for name in self._late if self.why_not(name))
        self._was_ready = self._was_ready or not self.why_not_ready()
        for name in self._shelves.keys() - set(names) if wishes.is_complete else ():
            self._shelves[name].labels = {}
            self._retire(self._shelves[name].available())

    def _reconcile(self, name: str, wishes: Wishes) -> None:
        policy, targets = wishes.policy(name), wishes.targets(name, self.catalogue.labels(name))
        wanted = policy.wanted(self._versions_of(name), targets)
        if not wanted:
            return  # an empty directory is more often a mount that failed than a wish
        shelf = self._shelves.get(name) or Shelf()
        shelf.versions = {number: Version(name, number) for number in wanted} | shelf.versions
        self._shelves = self._shelves | {name: shelf}  # whole at once: other threads read it meanwhile
        for number in sorted(wanted, reverse=True):
            self._load(shelf.versions[number])
        shelf.is_settled = True
        available = {version.number: version for version in shelf.available()}
        shelf.labels = _settled(shelf.labels, targets, available=available)
        kept = wanted | (set(shelf.labels.values()) if policy.labelled else set())
        if not wanted & set(available):
            return
        if max(wanted) not in available:  # the newest cannot be served: what was served in its place stays
            kept |= {max(available)}
        self._retire([available[number] for number in set(available) - kept])

    def _versions_of(self, name: str) -> list[int]:
        try:
            return self.catalogue.versions(name)
        except NotFoundError:
            return []

    def _load(self, version: Version) -> None:
        recipe = self._recipe
        waits = version.error is not None and time.monotonic() < version.failed_at + recipe.load_retry_s
        given_up = version.error is not None and version.tries >= recipe.load_tries
        if version.state not in (State.START, State.END) or waits or given_up or self._stop.is_set():
            return
        version.begin()
        began = time.monotonic()
        try:
            bundle = self.catalogue.bundle(version.model, version.number)
            version.ready(load(bundle, recipe, open_with=self._open_with))
        except Exception as error:  # noqa: BLE001  engines and tokenizers raise what they like; the server must go on
            _LOG.exception("%s/%d cannot be loaded", version.model, version.number)
            version.failed(error if isinstance(error, PenjingError) else PenjingError(f"loading failed: {error!r}"))
        else:
            _LOG.info("%s/%d is available after %.2f s", version.model, version.number, time.monotonic() - began)

    def _retire(self, versions: Iterable[Version]) -> None:
        for version in versions:
            _LOG.info("%s/%d is being unloaded", version.model, version.number)
            self._unload(version, wait_s=self._recipe.request_timeout_ms / 1000)

    def _unload(self, version: Version, *, wait_s: float) -> None:
        thread = threading.Thread(target=version.unload, kwargs={"wait_s": wait_s}, name="unload", daemon=True)
        thread.start()
        self._leaving = [*(one for one in self._leaving if one.is_alive()), thread]

    def enter(self, model: str, ref: int | str | None = None) -> Version:
        """Find a version and keep it loaded until its :meth:`~Version.leave` is called.

        Args:
            model: its name.
            ref: version number or label; None is the newest that is available.

        Raises:
            ModelNotFoundError: unknown model, version or label.
            NotReadyError: known, but not available.
        """
        shelf = self._shelves.get(model)
        if shelf is None:
            if model in self.names():
                raise NotReadyError(f"model {model} is not loaded yet", do="Ask /readyz.")
            raise ModelNotFoundError(
                f"model {model!r} is unknown", expected=f"one of: {', '.join(self.names()) or '-'}"
            )
        for _ in range(2):  # a second look: the version may have been replaced between finding and entering it
            for version in shelf.available() if ref is None else [shelf.named(model, ref)]:
                if version.enter():
                    return version
        where = f"{model}/{ref}" if ref is not None else model
        raise NotReadyError(f"{where} is not available: {self.why_not(model) or 'it was unloaded'}", do="Ask /readyz.")

    def why_not(self, model: str) -> str:
        """Why a model is not ready; empty if it is."""
        shelf = self._shelves.get(model)
        if shelf is None:
            return "no version of it has been found yet"
        if shelf.available():
            coming = [
                str(number) for number, one in shelf.versions.items() if one.state in (State.START, State.LOADING)
            ]
            waits = bool(coming) and not shelf.is_settled
            return f"version {' and '.join(coming)} is still to be loaded" if waits else ""
        newest = shelf.versions[max(shelf.versions)]
        return str(newest.error) if newest.error else f"version {newest.number} is {newest.state.name}"

    def _keep_in_step(self) -> None:
        while True:
            self._wake.clear()
            if self._stop.is_set():
                return
            awaited = len(self._awaited)  # who asks from here on may have asked too late for this look
            self.reconcile()
            for done in self._awaited[:awaited]:
                done.set()
            del self._awaited[:awaited]
            self._wake.wait(self._recipe.poll_s)


def _settled(current: dict[str, int], targets: dict[str, int], *, available: dict[int, Version]) -> dict[str, int]:
    """Labels as they may stand now: each on its target if that is available, else where it was."""
    settled = {}
    for label, target in targets.items():
        where = target if target in available else current.get(label, target)
        settled[label] = where
    return settled
