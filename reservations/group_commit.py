"""Requests about reservations that are decided together with concurrent ones (``inventory.combining``)."""

from typing import Any

from django.db import Error

from inventory.combining import Reading, Submission
from reservations.services.holds import baskets, extending, placing, resolution, sold_out
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.placing import HoldRequest
from reservations.services.holds.repetitions import Origin, may_be_repeated
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest


class _HoldSubmission(Submission, frozen=True):
    """A request that is refused at once if it is known to be short (``sold_out``) and isn't a repetition."""

    def outcome(self) -> Any:
        if short := sold_out.known_shortage(self.request):
            origin = short.origin_of(self.request)
            if origin is None or not _may_be_repeated(origin):
                short.refuse()
        with sold_out.Deciding(self.request):
            return Submission.outcome(self)

    async def outcome_on_loop(self) -> Any:
        if short := sold_out.known_shortage(self.request):
            origin = short.origin_of(self.request)
            if origin is None or not await _may_be_repeated_on_loop(origin):
                short.refuse()
        with sold_out.Deciding(self.request):
            return await Submission.outcome_on_loop(self)


def _may_be_repeated(origin: Origin) -> bool:
    """Whether a request may be a repetition; True if the query fails, so that the request is then decided as usual."""
    try:
        return bool(Reading(may_be_repeated, origin).outcome())
    except Error:
        return True


async def _may_be_repeated_on_loop(origin: Origin) -> bool:
    """``_may_be_repeated``, awaited on the running loop."""
    try:
        return bool(await Reading(may_be_repeated, origin).outcome_on_loop())
    except Error:
        return True


def place_hold(request: HoldRequest) -> Submission:
    """Submit to ``placing.place_holds``; the outcome is a PlacedHold or a StoredAnswer."""
    return _HoldSubmission(placing.place_holds, request)


def extend_hold(request: ExtendRequest) -> Submission:
    """Submit to ``extending.extend_holds``; the outcome is an Extended or a StoredAnswer."""
    return Submission(extending.extend_holds, request)


def release_hold(request: ReleaseRequest) -> Submission:
    """Submit to ``resolution.release_holds``; the outcome is a Resolved or a StoredAnswer."""
    return Submission(resolution.release_holds, request)


def consume_hold(request: ConsumeRequest) -> Submission:
    """Submit to ``resolution.consume_holds``; the outcome is a Resolved or a StoredAnswer."""
    return Submission(resolution.consume_holds, request)


def put_basket(request: HoldRequest) -> Submission:
    """Submit to ``baskets.put_baskets``; the outcome is a PlacedHold, an Emptied or a StoredAnswer."""
    return Submission(baskets.put_baskets, request, baskets.apart)


def empty_basket(request: ReleaseRequest) -> Submission:
    """Submit to ``baskets.empty_baskets``; the outcome is a Resolved or a StoredAnswer."""
    return Submission(baskets.empty_baskets, request, baskets.apart)
