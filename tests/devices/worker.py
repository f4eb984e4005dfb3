"""A libzmq worker in a process of its own, to be killed: ``worker.py ENDPOINT COUNT``.

It answers COUNT requests, and takes all others without a word.
"""

from __future__ import annotations

import sys

import zmq

endpoint, count = sys.argv[1], int(sys.argv[2])
socket = zmq.Context().socket(zmq.REP)
socket.connect(endpoint)
for _ in range(count):
    socket.recv()
    socket.send(b"by the child")
socket.recv()
print("taken", flush=True)
sys.stdin.read()
