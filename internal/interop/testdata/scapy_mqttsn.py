"""A device of MQTT-SN whose messages scapy builds and takes apart.

Each line of standard input is a step, each line of standard output what came of
it: {"to": port}, {"say": [type, fields]}, {"hear": seconds}.
"""
import json
import logging
import socket
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.contrib import mqttsn  # noqa: E402

LAYERS = {
    "CONNECT": mqttsn.MQTTSNConnect, "WILLTOPIC": mqttsn.MQTTSNWillTopic, "WILLMSG": mqttsn.MQTTSNWillMsg,
    "REGISTER": mqttsn.MQTTSNRegister, "REGACK": mqttsn.MQTTSNRegack, "PUBLISH": mqttsn.MQTTSNPublish,
    "PUBACK": mqttsn.MQTTSNPuback, "PUBREC": mqttsn.MQTTSNPubrec, "PUBREL": mqttsn.MQTTSNPubrel,
    "PUBCOMP": mqttsn.MQTTSNPubcomp, "SUBSCRIBE": mqttsn.MQTTSNSubscribe, "UNSUBSCRIBE": mqttsn.MQTTSNUnsubscribe,
    "PINGREQ": mqttsn.MQTTSNPingReq, "DISCONNECT": mqttsn.MQTTSNDisconnect, "SEARCHGW": mqttsn.MQTTSNSearchGW,
}


def build(kind, fields):
    if kind == "DISCONNECT" and not fields:  # scapy has no form without a duration
        return bytes([2, 0x18])
    named = {name: v.encode() if isinstance(v, str) else v for name, v in fields.items()}
    return bytes(mqttsn.MQTTSN() / LAYERS[kind](**named))


def read(datagram):
    packet = mqttsn.MQTTSN(datagram)
    if bytes(packet) != datagram:
        return {"error": "scapy makes %s of %s" % (bytes(packet).hex(), datagram.hex())}
    fields, layer = {}, packet.payload
    for field in getattr(layer, "fields_desc", []):
        v = layer.getfieldval(field.name)
        fields[field.name] = v.decode() if isinstance(v, bytes) else v
    return {"type": packet.sprintf("%MQTTSN.type%"), "fields": fields}


def main():
    s = None
    for line in sys.stdin:
        step, result = json.loads(line), {}
        if "to" in step:
            s = s or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.connect(("127.0.0.1", step["to"]))
        elif "say" in step:
            s.send(build(*step["say"]))
        elif "hear" in step:
            s.settimeout(step["hear"])
            try:
                result = read(s.recv(65535))
            except socket.timeout:
                result = {"type": "nothing"}
        print(json.dumps(result), flush=True)


main()
