"""Interpret the steps of scenarios with the Eclipse Paho client for Python.

Jobs come as a JSON list on standard input; one line of JSON per job goes to
standard output.
"""
import json
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 20
V5 = 5


class Peer:
    """One client. Threads: the steps run in the job's, callbacks in Paho's."""

    def __init__(self, job, name, step):
        self.job, self.v5 = job, job["version"] == V5
        self.changed = threading.Condition()
        self.received, self.connected, self.acked = [], None, set()
        persistent = step.get("persistent", False)
        web = job["transport"] in ("ws", "wss")
        self.client = mqtt.Client(
            client_id=job["id"] + name,
            clean_session=None if self.v5 else not persistent,
            protocol=job["version"],
            transport="websockets" if web else "tcp",
            reconnect_on_failure=False,
        )
        if web:
            self.client.ws_set_options(path=job["path"])
        if job.get("ca"):
            self.client.tls_set(ca_certs=job["ca"], cert_reqs=ssl.CERT_REQUIRED)
        will = step.get("will")
        if will:
            self.client.will_set(will["topic"], bytes.fromhex(will["payload"]), will["qos"], will["retain"])
        self.client.on_message = self.on_message
        self.client.on_subscribe = self.client.on_unsubscribe = self.on_ack
        self.client.on_connect = self.on_connect
        options = {}
        if self.v5:
            options["clean_start"] = not persistent
            if persistent:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = 60
        self.client.connect(job["host"], job["port"], keepalive=30, **options)
        self.client.loop_start()
        self.wait("CONNACK", lambda: self.connected is not None)
        reason, self.present = self.connected
        if reason != 0:
            raise RuntimeError("%s: CONNACK says %s" % (name, reason))

    def wait(self, what, condition):
        with self.changed:
            if not self.changed.wait_for(condition, PATIENCE):
                raise RuntimeError("no " + what)

    def on_connect(self, client, userdata, flags, reason, properties=None):
        with self.changed:
            self.connected = reason, bool(flags["session present"])
            self.changed.notify_all()

    def on_ack(self, client, userdata, mid, *rest):
        with self.changed:
            self.acked.add(mid)
            self.changed.notify_all()

    def on_message(self, client, userdata, m):
        got = {"topic": m.topic, "payload": m.payload.hex(), "qos": m.qos, "retain": bool(m.retain)}
        if self.v5 and hasattr(m.properties, "UserProperty"):
            got["user_properties"] = m.properties.UserProperty
        with self.changed:
            self.received.append(got)
            self.changed.notify_all()

    def subscribe(self, step):
        _, mid = self.client.subscribe([(f, step["qos"]) for f in step["filters"]])
        self.wait("SUBACK", lambda: mid in self.acked)
        if step.get("unsubscribe"):
            _, mid = self.client.unsubscribe(step["unsubscribe"])
            self.wait("UNSUBACK", lambda: mid in self.acked)

    def publish(self, m):
        properties = None
        if m.get("user_properties"):
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = [tuple(p) for p in m["user_properties"]]
        info = self.client.publish(m["topic"], bytes.fromhex(m["payload"]), m["qos"], m["retain"], properties)
        info.wait_for_publish(PATIENCE)
        if not info.is_published():
            raise RuntimeError("no acknowledgement of " + m["topic"])

    def drop(self):
        # shutdown, because close leaves the connection open while Paho's
        # thread waits on it.
        sock = self.client.socket()
        getattr(sock, "_socket", sock).shutdown(2)
        self.client.loop_stop()

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()


def run(job):
    peers, past, present, error = {}, [], {}, ""
    try:
        for step in job["steps"]:
            name, do = step["client"], step["do"]
            if do == "connect":
                if name in peers:
                    past.append((name, peers[name]))
                peers[name] = Peer(job, name, step)
                present.setdefault(name, []).append(peers[name].present)
            elif do == "subscribe":
                peers[name].subscribe(step)
            elif do == "publish":
                peers[name].publish(step["message"])
            elif do == "await":
                n = step["count"]
                peers[name].wait("%d messages for %s" % (n, name), lambda: len(peers[name].received) >= n)
            else:
                getattr(peers[name], do)()
    except Exception as e:
        error = "%s %s: %s: %s" % (step["client"], step["do"], type(e).__name__, e)
    received = {}
    for name, peer in past + list(peers.items()):
        received.setdefault(name, []).extend(peer.received)
    for peer in peers.values():
        peer.disconnect()
    return {"id": job["id"], "error": error, "received": received, "sessions": present if job["version"] > 3 else {}}


jobs = json.load(sys.stdin)
with ThreadPoolExecutor(8) as pool:
    for outcome in pool.map(run, jobs):
        print(json.dumps(outcome), flush=True)
