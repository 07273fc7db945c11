// Package session holds what MQTT calls delivery state: which messages wait
// for a client, which are on their way under which packet identifier, and
// which inbound QoS 2 identifiers have been seen. The guarantees of QoS 1 and
// QoS 2 are written, and tested, here alone.
//
// The package is pure: no I/O, no goroutine, no lock, no clock. Time is passed
// in, effects are returned as Actions for the caller to carry out in order.
// The caller serialises calls on one Outbound or Inbound.
//
// It promises bounded memory (Limits) and no allocation for a QoS 0 message
// that is passed on at once. It knows nothing of subscriptions, rights or the
// wire.
package session
