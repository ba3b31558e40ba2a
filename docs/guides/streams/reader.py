"""Prints the events of the Redis stream, as one of a consumer group."""

import os
import time

import redis

STREAM, GROUP, ME = "inventory:events", "robot", f"robot-{os.getpid()}"
server = redis.Redis.from_url(os.environ["EVENT_STREAM_URL"], decode_responses=True)


def act(event):
    print(event["type"], event["data"], flush=True)


def read():
    """The next entries: those that a consumer hasn't acknowledged for a minute, else new ones."""
    try:
        left = server.xautoclaim(STREAM, GROUP, ME, min_idle_time=60_000, count=100)[1]
        if left:
            return left
        new = server.xreadgroup(GROUP, ME, {STREAM: ">"}, count=100, block=1000)
        return [entry for _, entries in new for entry in entries]
    except redis.ResponseError as error:
        if not str(error).startswith("NOGROUP"):
            raise
        server.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        return []
    except redis.ConnectionError:
        time.sleep(1)
        return []


while True:
    for entry_id, event in read():
        act(event)
        server.xack(STREAM, GROUP, entry_id)
