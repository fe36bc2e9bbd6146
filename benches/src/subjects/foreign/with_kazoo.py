"""Locks of kazoo at the servers argv[1], with a session of argv[2] milliseconds."""

import sys

from kazoo.client import KazooClient

from seat import now, say, serve

# As soon as it can be, after a connection was lost.
RETRY = {"max_tries": -1, "delay": 0.01, "backoff": 1}

client = KazooClient(sys.argv[1], timeout=int(sys.argv[2]) / 1000, connection_retry=RETRY)
client.add_listener(lambda state: say(0, state, now()))
client.start(timeout=60)


def lock_of(name):
    path = "/kazoo/" + name
    client.ensure_path(path)
    return client.Lock(path, "seat")


serve(lock_of)
