// Package fault breaks MQTT connections on purpose, one packet at a time, by rules
// that a test can state:
//
//	drop @ s2c PUBACK client=sensor-7 / nth=3
//
// is: what is done, where, and when. [Rule] is that sentence, [Set] the rules of a
// running proxy, [Scenario] a file of them with steps in time.
//
// To add an action: a line in actions (action.go), a case in apply.go, and a line in
// the table of exchange_test.go.
//
// # Promises
//
// What happens depends on the rules, the seed and what each client sends, and not on
// how connections take turns: each rule counts for each client and direction by
// itself, and draws its chances from seed, rule, client and count. Only times are as
// exact as clocks are.
//
// Within a direction order is kept: behind a packet that is delayed everything of
// its direction waits. Only hold, reorder, and delay with the word reorder let later
// packets overtake.
//
// Packet identifiers stay consistent: an injected request gets one that nobody uses,
// and its answers do not reach the peer that has not asked; of the answers to
// duplicates the first one arrives.
//
// # Goroutines
//
// Handle is called by the two directions of a connection at once, and timers run in
// goroutines of their own, which end with the connection. What they share is guarded
// by the stage's mutex, which nobody holds while a packet is passed on.
package fault
