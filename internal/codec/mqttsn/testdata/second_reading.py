"""Reads a message in hex per line and writes what scapy makes of it as JSON."""

import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.contrib.mqttsn import MQTTSN  # noqa: E402

for line in sys.stdin:
    packet = MQTTSN(bytes.fromhex(line.strip()))
    layers = []
    while packet:
        layers.append({
            name: value.hex() if isinstance(value, bytes) else str(int(value))
            for name, value in packet.fields.items() if value not in (None, b"")
        })
        packet = packet.payload
    print(json.dumps(layers))
