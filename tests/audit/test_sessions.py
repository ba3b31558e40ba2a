"""Sessions that have ended are deleted every night."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from audit.tasks import clear_sessions
from config.celery import app


@pytest.mark.django_db
def test_ended_sessions_are_deleted_and_others_stay() -> None:
    now = timezone.now()
    Session.objects.create(session_key="ended", session_data="", expire_date=now - timedelta(minutes=1))
    Session.objects.create(session_key="alive", session_data="", expire_date=now + timedelta(minutes=1))
    clear_sessions()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["alive"]


def test_beat_deletes_ended_sessions() -> None:
    assert clear_sessions.name in {entry["task"] for entry in app.conf.beat_schedule.values()}
