// Package bench is the load engine behind `iotctl bench`: MQTT clients that
// cost less than the broker they load, a schedule that cannot slip unnoticed,
// and an account of every message.
//
// # Promises
//
// Each message has an intended time, set by the schedule alone, and carries it.
// Every latency is recorded twice: from the intended time and from the time of
// sending. A broker, or a generator, that falls behind makes the first one
// grow, so nothing is left out because nobody was there to send it.
//
// TestStalledBroker is the experiment that shows it: a broker is frozen for 2 s
// under 1,000 messages per second, and p90, p99 and maximum agree with what the
// schedule says, 1.2 s, 1.92 s and 2 s, while p90 from the time of sending is 2 ms.
//
// What was published is compared with what arrived by sequence numbers and
// checksums in the payloads: lost, duplicated, reordered and corrupted messages
// are counted per topic and QoS, in memory that is bounded per stream.
//
// The generator watches itself. Intervals in which its own processor time, its
// scheduling, its descriptors or its ports were the limit are marked.
//
// # Goroutines
//
// A connection has one goroutine, which reads; it holds no buffer while it
// waits. Clients of MQTT-SN share sockets, each of which has one (mqttsn.go).
// Publishing is done by a few drivers for all clients, in batches, or,
// where acknowledgements open a window, by the goroutine that has read them. A
// goroutine more writes to a socket only while the kernel takes nothing more.
// [Run] returns when all have ended.
//
// # Locks
//
// Client.wmu (the socket's output) or snPort.mu, then shard.mu (what is recorded).
// Neither is held while something is waited for, but for a write to TLS, WebSocket
// and DTLS.
//
// # To add a scenario
//
//  1. scenario_x.go: a type with Open, whose Load works until it is told to
//     end, and a [Spec] that names it. scenario_churn.go is a small one.
//  2. One line in the table of cmd/iotctl/builtin.go.
//  3. benchtest.Run runs it against a broker, by that table.
package bench
