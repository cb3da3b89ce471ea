"""The versions that are served now: the champion, the candidate beside it, others by name; and how they change."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from tasks.registry.versions import CANDIDATE, CHAMPION, NAME
from tasks.serving import versions
from tasks.serving.engine_thread import in_passing
from tasks.serving.live import Live, load
from tasks.serving.params import ServeParams
from tasks.serving.reply import Share
from tasks.serving.versions import Served
from tasks.stage import UserError

log = logging.getLogger(__name__)

T = TypeVar("T")
Load = Callable[[Served, ServeParams], Live]


class NotReady(Exception):
    """No model is loaded yet."""


class Unknown(Exception):
    """No such model is served; its text says which are."""


class Fleet:
    """Of one event loop. reference: what is served to who asks for no version; beside: more, by name only.

    Where reference is an alias, the registry is asked again at `refresh`, and a new version replaces the old one, which
    finishes what it has begun. Beside the champion the candidate is loaded, where there is another one.
    """

    def __init__(
        self, params: ServeParams, *, reference: str = CHAMPION, beside: Iterable[str] = (), load: Load = load
    ) -> None:
        self.reloads = 0
        self._params = params
        self._reference = reference
        self._beside = tuple(beside)
        self._load = load
        self._main: Live | None = None
        self._candidate: Live | None = None
        self._others: dict[str, Live] = {}
        self._busy = asyncio.Lock()
        self._told: set[str] = set()  # warnings that were given

    @property
    def follows(self) -> bool:
        """Whether a promotion changes what is served."""
        return self._reference in (CHAMPION, CANDIDATE)

    @property
    def is_ready(self) -> bool:
        return self._main is not None

    @property
    def lives(self) -> list[tuple[Live, Share]]:
        """All that is served, the main one first."""
        candidates = [self._candidate] if self._candidate else []
        main: list[tuple[Live, Share]] = [(self._main, "champion")] if self._main else []
        return main + [(live, "candidate") for live in [*candidates, *self._others.values()]]

    def pick(self, model: str, conversation: str) -> tuple[Live, Share]:
        """Who replies; conversation: what the share of the candidate sticks to. Raises NotReady and Unknown."""
        if self._main is None:
            raise NotReady
        if model == NAME:
            if self._candidate and _place(conversation) < self._params.candidate_share:
                return self._candidate, "candidate"
            return self._main, "champion"
        named = dict(self._names())
        if model not in named:
            raise Unknown(f"the model '{model}' is not served; allowed: {', '.join([NAME, *named])}")
        return named[model]

    def names(self) -> list[tuple[str, Live]]:
        """What a request may call each of them."""
        main = [(NAME, self._main)] if self._main else []
        return main + [(name, live) for name, (live, _) in self._names()]

    async def refresh(self) -> None:
        """Loads what is meant now and is not served yet. Raises UserError where there is nothing else to serve."""
        async with self._busy:
            aliases = [self._reference, CANDIDATE]
            numbers = await asyncio.to_thread(versions.numbers, aliases) if self.follows else {}
            await self._refresh_main(numbers.get(self._reference))
            if self._reference == CHAMPION:
                await self._tolerant(self._refresh_candidate(numbers.get(CANDIDATE)))
            for reference in self._beside:
                if reference not in self._others:
                    self._others[reference] = await self._loaded(reference)

    async def follow(self) -> None:
        """Refreshes for ever; what goes wrong is one warning."""
        while True:
            await asyncio.sleep(self._params.poll_s)
            if self.follows:
                await self._tolerant(self.refresh())

    async def tolerant_refresh(self) -> None:
        """`refresh`; what goes wrong is one warning, and what is served stays."""
        await self._tolerant(self.refresh())

    def close(self) -> None:
        """Serves no more; waits for what is on its way."""
        for live, _ in self.lives:
            live.loop.close()
        self._main, self._candidate, self._others = None, None, {}

    async def _refresh_main(self, number: str | None) -> None:
        """number: what the alias is now, None where it is none or no alias is followed."""
        if self.follows:
            if self._main and number in (None, self._main.served.version):
                return
        elif self._main is not None:
            served = await asyncio.to_thread(versions.find, self._reference)
            if served.model_md5 == self._main.served.model_md5:
                return
        self._main = self._replace(self._main, await self._loaded(self._reference))

    async def _refresh_candidate(self, number: str | None) -> None:
        main = self._main.served.version if self._main else None
        if number is None or number == main:
            self._candidate = self._replace(self._candidate, None)
        elif self._candidate is None or self._candidate.served.version != number:
            self._candidate = self._replace(self._candidate, await self._loaded(number))

    async def _loaded(self, reference: str) -> Live:
        """One that is served already, or a new one."""
        served = await asyncio.to_thread(versions.find, reference)
        for live, _ in self.lives:
            if (live.served.version, live.served.model_md5) == (served.version, served.model_md5):
                return live
        live = await in_passing(self._load, served, self._params)
        log.info("%s is served", served.told)
        return live

    def _replace(self, old: Live | None, new: Live | None) -> Live | None:
        """The new one; the old one goes with its last reply, where no other place holds it."""
        if old is not None and old is not new:
            self.reloads += 1
            holders = [self._main, self._candidate, *self._others.values()]
            if sum(holder is old for holder in holders) < 2:
                old.retire()
        return new

    def _names(self) -> Iterable[tuple[str, tuple[Live, Share]]]:
        for live, share in self.lives:
            yield live.served.told, (live, share)
        if self._main and self.follows:
            yield f"{NAME}@{self._reference}", (self._main, "champion")
        if self._candidate:
            yield f"{NAME}@{CANDIDATE}", (self._candidate, "candidate")

    async def _tolerant(self, work: Awaitable[T]) -> None:
        try:
            await work
        except UserError as error:
            if str(error) not in self._told:
                log.warning("what is served stays as it is: %s", error)
            self._told.add(str(error))
        else:
            self._told.clear()


def _place(conversation: str) -> float:
    """A number in [0, 1) that is always the same for a conversation."""
    return int.from_bytes(hashlib.sha256(conversation.encode()).digest()[:8]) / 2**64
