// Package pairing lets an operator decide about devices that nobody knows. A
// device that connects for the first time waits, with a code that the operator
// sees in the list of requests, and the device in its refusal. Once approved
// it is let in at its next try, and remembered.
//
//	unknown → pending → approved → expired
//	                  → rejected
//
// An expired approval, and a request that is not repeated within
// Config.Lifetime, make the device unknown again.
//
// # What an approval is bound to
//
// To the listener, the client identifier, and what the device has presented:
// the public key of its TLS certificate, or else its user name and secret. The
// same identifier with anything else is another request, which takes nothing
// from the approved device. A device that presents nothing but names, which
// anybody can, is denied, unless Config.InsecureID says otherwise.
//
// # User names
//
// What a device is called in rules is not for the device to say. Unless the
// operator gives it a name it has one of a space of its own, DefaultName and the
// client identifier.
//
// # How secrets are kept
//
// As HMAC-SHA256 under a random key, with a salt per device. That is quick on
// purpose: everybody may ask, so a slow hash would let strangers use up the
// processor, and keep approved devices out after a restart. What it costs is
// that whoever reads both files, of which only their owner may read either, can
// try out weak secrets. The key is in a file of its own, so a copy of the list
// alone gives nothing away. Requests are in memory only, and gone after a
// restart.
//
// # Bounds
//
// Requests are bounded in total and per address (a network of 64 bits in IPv6),
// those that are turned away leave nothing behind. Remembered devices, names and
// log lines are bounded, too. A code is no secret: it tells requests apart, and
// nobody enters it to be let in.
//
// All methods may be called from any goroutine. It leaves out letting devices
// in with few rights while they wait, and events for rules.
package pairing
