"""Values of an answer that differ from run to run, replaced by the same ones each time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.contract.scenes import stage

_ID: Final = re.compile(r"(?:\b[a-z]{2,5}-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_NOW: Final = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
_KNOWN: Final = {str(each) for each in (stage.TENT, stage.STOVE, stage.UNKNOWN, stage.NEW)}
_BY_NAME: Final[dict[str, Any]] = {
    "secret": "whsec_c2VjcmV0LW9mLXRoZS1leGFtcGxlLXdlYmhvb2sh",
    "publicKeys": ["whpk_cHVibGljLWtleS1vZi10aGUtZXhhbXBsZS13ZWJob29r"],
    "cursor": "1000-1",
    "eventsCursor": "1000-1",
    "next": "bmV4dC1wYWdl",
    "milliseconds": 12,
    "requestBytes": 412,
}


class Mask:
    """Replaces ids by numbered ones, and times by those of a fixed clock. The same value gets the same replacement."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._ids: dict[str, str] = {}

    def __call__(self, value: Any, name: str = "") -> Any:
        """A JSON value with its changing parts replaced; ``name`` is its field's."""
        if isinstance(value, dict):
            return {key: self(each, key) for key, each in value.items()}
        if value and name in _BY_NAME and not isinstance(value, bool):
            return _BY_NAME[name]
        if isinstance(value, list):
            return [self(each) for each in value]
        if name == "expiresInSeconds" and isinstance(value, int):
            return -(-value // 60) * 60
        if isinstance(value, str):
            return _TIME.sub(self._time, _ID.sub(self._id, value))
        return value

    def _id(self, found: re.Match[str]) -> str:
        text = found[0]
        prefix = text[:-36]
        if text[-36:] in _KNOWN:
            return text
        if text not in self._ids:
            number = 1 + sum(each.startswith(prefix) and len(each) == len(text) for each in self._ids)
            self._ids[text] = f"{prefix}019bc0de-0000-7000-8000-{number:012d}"
        return self._ids[text]

    def _time(self, found: re.Match[str]) -> str:
        time = datetime.fromisoformat(found[0])
        if abs(time - self._began) > timedelta(days=365):
            return found[0]  # A time that the scene names.
        minutes = round((time - self._began).total_seconds() / 60)
        return f"{_NOW + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
