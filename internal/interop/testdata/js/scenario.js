// Interprets the steps of scenarios with MQTT.js, in Node and in browsers.
'use strict'

const PATIENCE = 20000

function hex(bytes) {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}

// unhex uses MQTT.js's Buffer where there is one.
function unhex(text) {
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.substr(2 * i, 2), 16)
  return typeof Buffer === 'undefined' ? bytes : Buffer.from(bytes)
}

function within(promise, what) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no ' + what)), PATIENCE)
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}

class Peer {
  constructor(mqtt, job, name, step, ca) {
    this.received = []
    this.waiting = []
    const options = {
      protocol: { tcp: 'mqtt', unix: 'mqtt+unix', tls: 'mqtts', ws: 'ws', wss: 'wss' }[job.transport],
      clientId: job.id + name,
      protocolVersion: job.version,
      protocolId: job.version === 3 ? 'MQIsdp' : 'MQTT',
      clean: !step.persistent,
      reconnectPeriod: 0,
      connectTimeout: PATIENCE,
      keepalive: 30
    }
    if (job.socket) {
      options.path = job.socket
    } else {
      options.host = job.host
      options.port = job.port
      if (job.path) options.path = job.path
    }
    if (ca) options.ca = ca
    if (job.version === 5 && step.persistent) options.properties = { sessionExpiryInterval: 60 }
    if (step.will) {
      const { topic, payload, qos, retain } = step.will
      options.will = { topic, payload: unhex(payload), qos, retain }
    }
    this.client = mqtt.connect(options)
    this.client.on('message', (topic, payload, packet) => {
      const got = { topic, payload: hex(payload), qos: packet.qos, retain: packet.retain }
      const properties = packet.properties && packet.properties.userProperties
      if (properties) {
        got.user_properties = Object.entries(properties).flatMap(([k, v]) => [].concat(v).map((one) => [k, one]))
      }
      this.received.push(got)
      this.waiting.forEach((check) => check())
    })
    this.connected = within(new Promise((resolve, reject) => {
      this.client.on('connect', (packet) => resolve(packet.sessionPresent))
      this.client.on('error', reject)
      this.client.on('close', () => reject(new Error('closed')))
    }), 'CONNACK')
  }

  await(count) {
    return within(new Promise((resolve) => {
      const check = () => { if (this.received.length >= count) resolve() }
      this.waiting.push(check)
      check()
    }), count + ' messages')
  }

  async subscribe(step) {
    await within(this.client.subscribeAsync(step.filters, { qos: step.qos }), 'SUBACK')
    if (step.unsubscribe) await within(this.client.unsubscribeAsync(step.unsubscribe), 'UNSUBACK')
  }

  publish(m) {
    const options = { qos: m.qos, retain: m.retain }
    if (m.user_properties) {
      const all = {}
      for (const [k, v] of m.user_properties) (all[k] = all[k] || []).push(v)
      options.properties = { userProperties: all }
    }
    return within(this.client.publishAsync(m.topic, unhex(m.payload), options), 'acknowledgement')
  }

  drop() {
    return new Promise((resolve) => {
      this.client.on('close', resolve)
      this.client.stream.destroy()
    })
  }

  disconnect() {
    return within(this.client.endAsync(), 'end')
  }
}

async function runJob(mqtt, job, ca) {
  const peers = {}
  const all = [] // [name, peer], those that a later connect replaced included
  const sessions = {}
  let error = ''
  for (const step of job.steps) {
    const name = step.client
    try {
      if (step.do === 'connect') {
        const peer = new Peer(mqtt, job, name, step, ca)
        all.push([name, peer])
        peers[name] = peer
        const present = await peer.connected
        if (job.version > 3) (sessions[name] = sessions[name] || []).push(!!present)
      } else {
        const argument = { subscribe: step, publish: step.message, await: step.count }[step.do]
        await peers[name][step.do](argument)
      }
    } catch (e) {
      error = `${name} ${step.do}: ${e.message}`
      break
    }
  }
  const received = {}
  for (const [name, peer] of all) received[name] = (received[name] || []).concat(peer.received)
  for (const [, peer] of all) peer.client.end(true)
  return { id: job.id, error, received, sessions }
}

// runJobs keeps a few jobs going at a time: browsers limit WebSockets.
async function runJobs(mqtt, jobs, ca) {
  const outcomes = []
  const queue = jobs.slice()
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) outcomes.push(await runJob(mqtt, job, ca))
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return outcomes
}

if (typeof module !== 'undefined') module.exports = { runJobs }
