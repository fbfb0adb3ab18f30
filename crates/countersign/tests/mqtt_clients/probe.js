// What a device may try at the MQTT door with the npm package mqtt; prints what came of each attempt as JSON.
// Codes are MQTT 5's; those of 3.1.1 are told in them. "sent" is what has no answer, "closed" an end.

import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const PATIENCE = 30_000;
const facts = JSON.parse(process.argv[2]);
const is5 = facts.version === 5;
const { own, other } = facts;
const foreign = other.replace("tenant/", "tenant/not-");
const out = {};

class Device {
  constructor({ will, method } = {}) {
    this.heard = [];
    this.waiting = null;
    const pem = readFileSync(facts.certificate);
    this.client = mqtt.connect({
      protocol: "mqtts",
      host: "127.0.0.1",
      port: facts.port,
      ca: readFileSync(facts.roots),
      cert: pem,
      key: pem,
      clientId: "probe",
      protocolVersion: facts.version,
      reconnectPeriod: 0,
      autoAssignTopicAlias: false,
      will: will ? { topic: will, payload: Buffer.from("gone"), qos: 1 } : undefined,
      properties: method ? { authenticationMethod: method } : undefined,
    });
    const hear = (entry) => {
      this.heard.push(entry);
      this.waiting?.();
    };
    this.client.on("packetreceive", hear);
    this.client.on("close", () => hear({ cmd: "closed" }));
    this.client.on("error", () => {});
  }

  async wait(fits) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const found = this.heard.find((packet) => packet.cmd === "closed" || fits(packet));
      if (found) return found;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`nothing in time after ${JSON.stringify(out)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async connected() {
    const packet = await this.wait((packet) => packet.cmd === "connack");
    if (packet.cmd === "closed") return "closed";
    return is5 ? packet.reasonCode : packet.returnCode === 5 ? 135 : packet.returnCode;
  }

  async publish(topic, { qos = 1, payload = "{}", retain = false, properties } = {}) {
    await this.connected();
    this.heard = this.heard.filter((packet) => ["connack", "closed"].includes(packet.cmd));
    const sent = new Promise((resolve) => {
      this.client.publish(topic, payload, { qos, retain, properties }, () => resolve());
    });
    if (qos === 0) {
      await sent;
      return "sent";
    }
    const answer = qos === 1 ? "puback" : "pubrec";
    const packet = await this.wait((packet) => packet.cmd === answer);
    if (packet.cmd === "closed") return "closed";
    const code = packet.reasonCode ?? 0;
    if (code < 128 && qos === 2) await this.wait((packet) => packet.cmd === "pubcomp");
    return code;
  }

  async subscribe(...filters) {
    await this.connected();
    this.client.subscribe(filters, { qos: 1 }, () => {});
    const packet = await this.wait((packet) => packet.cmd === "suback");
    return packet.cmd === "closed" ? "closed" : packet.granted;
  }
}

async function once(act, options) {
  const device = new Device(options);
  const outcome = await act(device);
  device.client.end(true);
  await device.wait((packet) => packet.cmd === "closed");
  return outcome;
}

out.connect = await once((device) => device.connected());
for (const qos of [0, 1, 2]) {
  out[`own${qos}`] = await once((device) => device.publish(`${own}telemetry`, { qos }));
}
for (const [name, topic] of Object.entries({
  other: `${other}telemetry`,
  foreign: `${foreign}telemetry`,
  sys: "$SYS/broker/clients",
  control: "$CONTROL/dynamic-security/v1",
  unlisted: `${own}commands`,
  bom: `\ufeff${own}telemetry`,
})) {
  out[name] = await once((device) => device.publish(topic));
}
out.other2 = await once((device) => device.publish(`${other}telemetry`, { qos: 2 }));
out.retained = await once((device) => device.publish(`${other}telemetry`, { retain: true }));
out.listen = await once((device) => device.subscribe(`${own}commands`));
for (const [name, filters] of Object.entries({
  listenOther: [`${other}commands`],
  listenAll: ["#"],
  listenPlus: [`${own.replace("/device/", "/+/")}commands`],
  listenShare: [`$share/g/${own}commands`],
  listenSys: ["$SYS/#"],
  listenMixed: ["#", `${own}commands`, `${other}jobs/#`, `${own}jobs/#`],
})) {
  out[name] = await once((device) => device.subscribe(...filters));
}
out.will = await once((device) => device.connected(), { will: `${other}telemetry` });
out.ownWill = await once((device) => device.connected(), { will: `${own}telemetry` });
out.long = await once((device) => device.publish(`${own}telemetry`, { payload: "x".repeat(300_000) }));
if (is5) {
  const saying = (properties) => (device) => device.publish(`${own}telemetry`, { properties });
  out.response = await once(saying({ responseTopic: `${other}commands` }));
  out.forged = await once(saying({ userProperties: { "countersign-device": "other" } }));
  out.alias = await once(async (device) => [
    await device.publish(`${own}telemetry`, { properties: { topicAlias: 1 } }),
    await device.publish("", { properties: { topicAlias: 1 } }),
    await device.publish(`${other}telemetry`, { properties: { topicAlias: 2 } }),
    await device.publish("", { properties: { topicAlias: 2 } }),
  ]);
  out.method = await once((device) => device.connected(), { method: "SCRAM-SHA-1" });
}
console.log(JSON.stringify(out));
process.exit(0);
