"""Locks of redis-py at the server argv[1], which end after argv[2] milliseconds."""

import sys

import redis

from seat import serve

host, port = sys.argv[1].rsplit(":", 1)
client = redis.Redis(host, int(port))
client.ping()
serve(lambda name: client.lock("redis-py:" + name, timeout=int(sys.argv[2]) / 1000))
