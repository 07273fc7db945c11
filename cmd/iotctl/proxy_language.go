package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/proxy/fault"
)

// newFaults is a help topic: the language of faults, scenarios and orders.
func newFaults() *cobra.Command {
	return &cobra.Command{
		Use:   "faults",
		Short: "How proxy breaks packets: rules, scenarios, orders over HTTP",
		Long: `iotctl proxy breaks connections on purpose, packet by packet. A rule is

  [name:] action @ where / when

as in "drop @ s2c PUBACK client=sensor-7 / nth=3". --fault takes one, --scenario a
file of them. Rules are asked in their order; the first that matches acts, and those
behind it see what it passes on.

ACTIONS

` + indented(fault.Actions()) + `
drop, refuse and lie do not pass the packet on; refuse answers in its place with a
reason code, in the form of the version (CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK,
else DISCONNECT or the end of the connection), and lie answers that all is well. dup
sends copies behind the packet, marked DUP; of their answers the first arrives.

Behind a packet that is delayed or throttled everything of its direction waits, as
TCP would have it, unless the word reorder stands behind delay. hold keeps a packet
until release, by a rule, a step or an order; others overtake it. reorder gathers
as many packets, for a second at most, and passes them on in another order.

corrupt changes a byte or bit, by chance or the nth from 0, or a field: type, flags,
remaining-length, qos, dup, retain, id, code, topic-length, topic, payload,
property-length. What it is changed to is a number, +1, -1, ^0x80, or x: and hex.
truncate sends only so many bytes of the packet, and nothing in place of the rest;
cut ends the connection after so many.

stall stops reading and leaves the sockets open; blackhole reads and forgets; close
sends FIN to both sides, and reset RST. slice writes so many bytes at a time.

replace and inject take hex, or a type and its fields, as in PUBLISH topic=a qos=1
payload=x, PUBACK id=same code=0x97; properties of 5.0 have the names that pub -D
has. What is not given is taken from the packet if it is of the same type. An
injected request gets an identifier that nobody uses, and its answers end here.

WHERE

An expression, as --filter takes it: c2s, s2c or both, a type in capitals, and
name=value with the operators = != < <= > >= ~ (a regular expression), joined by
and, or, not and parentheses. Names are client (with * and ?), user, version,
address, topic (with + and #), filter, qos, id, retain, dup, payload, size, code,
will-topic, keep-alive and so on, and the properties of 5.0.

WHEN

All that is given has to hold.

` + indented(fault.Parameters()) + `
nth, every, times and p count the matches of each client and direction; per= changes
that: connection, or rule for all together. at= is a moment, or with for= a window;
after= a time, the name of a rule that has acted on the client, or, in quotes, an
expression of a packet that has come on the connection. Times begin with the
connection. before and after are the sides of the packet on which close, reset,
stall, blackhole and inject act.

Chances depend on the seed, the rule, the client and the count, not on how
connections take turns: with the same seed the same packets are broken.

SCENARIOS

  name: a bad afternoon
  seed: 42
  rules:
    - acks: drop @ s2c PUBACK / p=0.1
    - drop @ s2c PINGRESP / after=30s
  steps:                        # times begin with the proxy
    - at: 10s
      add: ["frozen: stall @ both"]
    - at: 100s
      remove: [frozen, acks]
    - after: acks               # when that rule has acted, and then at:
      drain: mqtt://127.0.0.1:1883

Steps have at: or after:, and add, remove, release (a rule, or all), drain, undrain.
They are done one after the other. iotctl proxy check tells what is wrong with a
file.

ORDERS

--control 127.0.0.1:0, or unix:///PATH, takes orders in JSON while the proxy runs:

  GET    /v1/connections
  POST   /v1/connections/7/end   {"how":"close"}, or "reset"
  GET    /v1/rules
  POST   /v1/rules               {"rule":"drop @ s2c PUBACK / nth=3"}
  DELETE /v1/rules/acks
  POST   /v1/release             {"rule":"acks","count":1}
  GET    /v1/brokers
  POST   /v1/brokers/drain       {"broker":"mqtt://127.0.0.1:1883","drain":true}
  GET    /v1/counters

  curl -d '{"rule":"close @ both client=a"}' -H 'Content-Type: application/json' \
    http://127.0.0.1:PORT/v1/rules

Pages of browsers may not ask. At an address that other machines reach,
--control-token-file is needed, and Authorization: Bearer TOKEN.`,
	}
}

func indented(lines []string) string { return "  " + strings.Join(lines, "\n  ") + "\n" }
