"""The gateway's protocol: frames, handshake, requests. Knows nothing of pandas or Intake."""
