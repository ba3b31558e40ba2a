"""Settings are read without Django's search for methods of a proxy, and can still be overridden."""

import pytest
from django.conf import LazySettings, settings
from django.test import override_settings

import config.asgi


def test_web_processes_read_settings_as_plain_attributes() -> None:
    assert config.asgi.application
    assert LazySettings.__getattribute__ is object.__getattribute__
    before = settings.LOCK_TIMEOUT
    with override_settings(LOCK_TIMEOUT=before + 1):
        assert before + 1 == settings.LOCK_TIMEOUT
    assert before == settings.LOCK_TIMEOUT
    with override_settings():
        del settings.LOCK_TIMEOUT
        with pytest.raises(AttributeError):
            _ = settings.LOCK_TIMEOUT
    assert before == settings.LOCK_TIMEOUT
    assert "LOCK_TIMEOUT" in dir(settings)
    with pytest.raises(AttributeError):
        _ = settings.NO_SUCH_SETTING
