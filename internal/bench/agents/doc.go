// Package agents lets several machines carry one load: an [Agent] on each, led
// by [Lead] from anywhere, over MQTT.
//
// # Who may do what
//
// Both ends log in to the broker between them, and its access rules say who
// gives orders: an agent reads iotctl-bench/agent/NAME and publishes to
// iotctl-bench/run/RUN/NAME; whoever leads publishes to the first and reads
// iotctl-bench/run/RUN/+. An agent loads only what its owner allows, with the
// login that its owner has given; secrets are not sent. Retained orders are
// ignored.
//
// # Bounds
//
// Messages have at most 512 KiB, plans at most the clients and the time that
// the agent's owner allows, and one run is under way at a time. Either end that
// hears nothing from the other for the time of Silence goes on without it: an
// agent ends its run, and a run its wait for the agent, whose end stands in the
// result.
//
// # Clocks
//
// The common clock is that of the machine that leads. The offset of each
// agent's is measured by exchanges as in NTP; the one with the shortest round
// trip counts, and half of that is the error. The agent's clock is corrected
// before the load, so that stamps agree; a second measurement at the end adds
// what has drifted to the error. See RFC 5905 §8.
//
// # Goroutines
//
// Agent.Serve and Lead return when all that they have started has ended.
package agents
