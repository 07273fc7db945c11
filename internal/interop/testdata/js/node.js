// usage: node node.js MODULE < jobs: runs jobs with the MQTT.js at MODULE.
'use strict'

const fs = require('fs')
const { runJobs } = require('./scenario.js')
const mqtt = require(process.argv[2])

async function main() {
  const jobs = JSON.parse(fs.readFileSync(0))
  const file = (jobs.find((job) => job.ca) || {}).ca
  const ca = file && fs.readFileSync(file)
  const lines = (await runJobs(mqtt, jobs, ca)).map((outcome) => JSON.stringify(outcome) + '\n')
  process.stdout.write(lines.join(''), () => process.exit(0)) // a pipe takes its time
}

main().catch((e) => { console.error(e); process.exit(1) })
