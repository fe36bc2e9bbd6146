"""Holds the lock at the path argv[2] of the server argv[1] until it hears a line."""

import sys

from kazoo.client import KazooClient

client = KazooClient(hosts=sys.argv[1])
client.start()
with client.Lock(sys.argv[2]):
    print("@leasehold-report held")
    sys.stdin.readline()
print("@leasehold-report released")
client.stop()
