"""Requests about reservations that are decided together with concurrent ones (``inventory.combining``)."""

from inventory.combining import Submission
from reservations.services.holds import placing, resolution
from reservations.services.holds.placing import HoldRequest
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest


def place_hold(request: HoldRequest) -> Submission:
    """Submit to ``placing.place_holds``; the outcome is a PlacedHold or a StoredAnswer."""
    return Submission(placing.place_holds, request)


def release_hold(request: ReleaseRequest) -> Submission:
    """Submit to ``resolution.release_holds``; the outcome is a Resolved or a StoredAnswer."""
    return Submission(resolution.release_holds, request)


def consume_hold(request: ConsumeRequest) -> Submission:
    """Submit to ``resolution.consume_holds``; the outcome is a Resolved or a StoredAnswer."""
    return Submission(resolution.consume_holds, request)
