"""The gateway's protocol: frames, handshake, requests. Knows nothing of pandas or Intake.

::

    ask.py         the one loop: asks gateways in the caller's thread
    line.py        one gateway: up, lost or left out, and its share of the limit
    socket_connection.py  one connection that is up: questions in flight, heartbeats, deadlines
    dial.py        connecting, and reading the RSA key that a connection needs
    limit.py       the gateway's limit, counted for every process of the host
    address.py     gateway URLs and limits                                              (pure)
    connection.py  frames ↔ events: handshake, serial numbers, heartbeat                (pure)
    replies.py     bodies of answers → messages, or the error that says why not         (pure)
    cipher.py      what travels on an encrypted connection                              (pure)
    wire.py        bytes ↔ frames                                                       (pure)
"""
