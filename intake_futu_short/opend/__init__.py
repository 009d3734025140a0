"""The gateway's protocol: frames, handshake, requests. Knows nothing of pandas or Intake.

::

    wire.py        bytes ↔ frames                                                       (pure)
    cipher.py      what travels on an encrypted connection                              (pure)
    connection.py  frames ↔ events: handshake, serial numbers, heartbeat                (pure)
    replies.py     bodies of answers → messages, or the error that says why not         (pure)
    limiter.py     the limit by construction; turns.py, slot_file.py and ledger.py keep it over
                   the processes of a host
    link.py        one connection that is up; session.py has one a gateway, with its turns, and
                   asks again within the bounds of retry_policy.py; background.py has the loop
    address.py     gateway URLs; key_file.py reads the RSA key that they may name
    client.py      one gateway for callers that wait; the only client module with a socket
    pool.py        several gateways as one; pooled_gateway.py is each of them
"""
