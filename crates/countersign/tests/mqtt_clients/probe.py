"""What a device may try at the MQTT door with paho-mqtt; prints what came of each attempt as JSON.

Codes are MQTT 5's, in which paho tells those of 3.1.1, too. "sent" is what has no answer, "closed" an end.
"""

import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 30
FACTS = json.loads(sys.argv[1])
IS_5 = FACTS["version"] == 5
OWN, OTHER = FACTS["own"], FACTS["other"]
FOREIGN = OTHER.replace("tenant/", "tenant/not-", 1)


class Device:
    """One connection, and what is heard on it."""

    def __init__(self, will=None, method=None):
        self.heard = queue.Queue()
        protocol = mqtt.MQTTv5 if IS_5 else mqtt.MQTTv311
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="probe", protocol=protocol)
        self.client.tls_set(FACTS["roots"], FACTS["certificate"], FACTS["certificate"])
        hear = self.heard.put
        self.client.on_connect = lambda _c, _u, _f, code, _p: hear(("connect", code.value))
        self.client.on_publish = lambda _c, _u, mid, code, _p: hear((mid, code.value))
        self.client.on_subscribe = lambda _c, _u, mid, codes, _p: hear((mid, [one.value for one in codes]))
        self.client.on_disconnect = lambda *_all: hear(("closed", None))
        if will:
            self.client.will_set(will, b"gone", 1)
        properties = Properties(PacketTypes.CONNECT) if IS_5 else None
        if method:
            properties.AuthenticationMethod = method
        self.client.connect("127.0.0.1", FACTS["port"], 30, properties=properties)
        self.client.loop_start()
        self.connected = self.wait("connect")

    def wait(self, what):
        while True:
            key, value = self.heard.get(timeout=PATIENCE)
            if key == what:
                return value
            if key == "closed":
                return "closed"

    def publish(self, topic, qos=1, payload=b"{}", retain=False, **properties):
        said = None
        if IS_5 and properties:
            said = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(said, name, value)
        mid = self.client.publish(topic, payload, qos, retain, said).mid
        code = self.wait(mid)
        return "sent" if qos == 0 and code == 0 else code

    def subscribe(self, *filters):
        return self.wait(self.client.subscribe([(one, 1) for one in filters])[1])

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.client.disconnect()
        self.client.loop_stop()


def once(act, **options):
    with Device(**options) as device:
        return act(device)


def main():
    out = {"connect": once(lambda device: device.connected)}
    for qos in (0, 1, 2):
        out[f"own{qos}"] = once(lambda device: device.publish(OWN + "telemetry", qos))
    for name, topic in {
        "other": OTHER + "telemetry",
        "foreign": FOREIGN + "telemetry",
        "sys": "$SYS/broker/clients",
        "control": "$CONTROL/dynamic-security/v1",
        "unlisted": OWN + "commands",
        "bom": "\ufeff" + OWN + "telemetry",
    }.items():
        out[name] = once(lambda device: device.publish(topic))
    out["other2"] = once(lambda device: device.publish(OTHER + "telemetry", 2))
    out["retained"] = once(lambda device: device.publish(OTHER + "telemetry", retain=True))
    out["listen"] = once(lambda device: device.subscribe(OWN + "commands"))
    for name, filters in {
        "listenOther": [OTHER + "commands"],
        "listenAll": ["#"],
        "listenPlus": [OWN.replace("/device/", "/+/") + "commands"],
        "listenShare": ["$share/g/" + OWN + "commands"],
        "listenSys": ["$SYS/#"],
        "listenMixed": ["#", OWN + "commands", OTHER + "jobs/#", OWN + "jobs/#"],
    }.items():
        out[name] = once(lambda device: device.subscribe(*filters))
    out["will"] = once(lambda device: device.connected, will=OTHER + "telemetry")
    out["ownWill"] = once(lambda device: device.connected, will=OWN + "telemetry")
    out["long"] = once(lambda device: device.publish(OWN + "telemetry", payload=b"x" * 300_000))
    if IS_5:
        out["response"] = once(
            lambda device: device.publish(OWN + "telemetry", ResponseTopic=OTHER + "commands")
        )
        out["forged"] = once(
            lambda device: device.publish(OWN + "telemetry", UserProperty=("countersign-device", "other"))
        )
        out["alias"] = once(
            lambda device: [
                device.publish(OWN + "telemetry", TopicAlias=1),
                device.publish("", TopicAlias=1),
                device.publish(OTHER + "telemetry", TopicAlias=2),
                device.publish("", TopicAlias=2),
            ]
        )
        out["unset"] = once(lambda device: device.publish("", TopicAlias=3))
        out["method"] = once(lambda device: device.connected, method="SCRAM-SHA-1")
    print(json.dumps(out))


main()
