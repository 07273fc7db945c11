package dissect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Evidence finds out the version of a stream of MQTT that begins without its
// CONNECT. Each packet is read by the rules of each version: those that it breaks
// are out. Where that tells nothing, payloads do. The zero value knows nothing.
type Evidence struct {
	packets int
	against [mqtt.V5 + 1]int // packets that a version cannot have
	worse   [mqtt.V5 + 1]int // what is wrong with those that no version can have
	text    int              // payloads that are better in 5.0, without those that are worse
	why     [mqtt.V5 + 1]string
	prefer  string // why text is not 0
}

// versions are those that there are, in the order of preference.
var mqttVersions = [...]mqtt.Version{mqtt.V311, mqtt.V5, mqtt.V31}

// Add takes the next packet, which is whole. A CONNECT says nothing here.
func (e *Evidence) Add(from Direction, packet []byte) {
	e.packets++
	var cost [mqtt.V5 + 1]int
	var reason [mqtt.V5 + 1]string
	var read [mqtt.V5 + 1]mqtt.Packet
	least := -1
	for _, v := range mqttVersions {
		read[v], cost[v], reason[v] = judged(from, packet, v)
		if least < 0 || cost[v] < least {
			least = cost[v]
		}
	}
	t := mqtt.Type(packet[0] >> 4)
	if t == 0 || t == mqtt.TypeConnect {
		return
	}
	for _, v := range mqttVersions {
		switch {
		case least > 0:
			e.worse[v] += cost[v] - least
		case cost[v] > 0:
			e.against[v]++
			if e.why[v] == "" {
				e.why[v] = fmt.Sprintf("packet %d, %v of %d bytes, cannot be %v: %s", e.packets, t, len(packet), v, reason[v])
			}
		}
	}
	if p, ok := read[mqtt.V5].(mqtt.Publish); ok && cost[mqtt.V5] == 0 && cost[mqtt.V311] == 0 {
		e.payload(p, read[mqtt.V311].(mqtt.Publish))
	}
}

// unreadable is the cost of a packet that ends before its fields do.
const unreadable = 100

// judged reads a packet as one of version v, and counts what is wrong with it.
func judged(from Direction, packet []byte, v mqtt.Version) (p mqtt.Packet, cost int, reason string) {
	var notes []mqtt.Malformed
	p, _, err := mqtt.Parse(packet, mqtt.Options{
		Version: v, FromServer: from == FromServer, EitherSide: from == Unknown, Lenient: true, Notes: &notes,
	})
	for _, n := range notes {
		if n.Code != mqtt.Success && n.Code != mqtt.PayloadFormatInvalid {
			cost++
			reason = n.Reason
		}
	}
	if bad := (*mqtt.Malformed)(nil); errors.As(err, &bad) {
		cost += unreadable
		reason = bad.Reason
	}
	if v == mqtt.V31 && cost == 0 { // what 3.1 has no word for
		switch q := p.(type) {
		case mqtt.Connack:
			if packet[2]&1 != 0 {
				return p, 1, "session present is set"
			}
		case mqtt.Suback:
			for _, c := range q.Codes {
				if c.IsError() {
					return p, 1, "a subscription is refused"
				}
			}
		}
	}
	return p, cost, reason
}

// payload compares what a PUBLISH carries in 5.0 and before.
func (e *Evidence) payload(p5, p3 mqtt.Publish) {
	good5, good3 := wellFormed(p5.Payload), wellFormed(p3.Payload)
	vote, why := 0, ""
	switch {
	case good5 && !good3:
		vote, why = 2, "its payload is text or of a known format in 5.0 alone"
	case good3:
		vote, why = -2, "its payload is text or of a known format before 5.0"
	case len(p5.Properties) > 0:
		vote, why = 1, "its payload would begin with properties before 5.0"
	case len(p5.Payload) > 0: // the property length is 0
		vote, why = 1, "its payload would begin with 00 before 5.0"
	}
	if e.text += vote; vote != 0 && e.prefer == "" {
		e.prefer = fmt.Sprintf("packet %d, PUBLISH of %d bytes: %s", e.packets, p5.Size(mqtt.V5), why)
	}
}

// magic is how well-known formats of files begin.
var magic = [][]byte{
	{0xff, 0xd8, 0xff}, []byte("\x89PNG"), []byte("GIF8"), []byte("RIFF"), {0x1f, 0x8b, 8}, []byte("PK\x03\x04"), []byte("\x7fELF"), []byte("%PDF"),
}

// wellFormed reports whether b is text, JSON or begins like a file.
func wellFormed(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for _, m := range magic {
		if bytes.HasPrefix(b, m) {
			return true
		}
	}
	return printable(b) || json.Valid(b)
}

// Decide returns the protocol level that the packets speak for, 4 if nothing
// does; whether 5.0 and what was before it can be told apart for certain; and why,
// naming the first packet that decides.
func (e *Evidence) Decide() (version uint8, sure bool, why string) {
	best := mqtt.V311
	if e.less(mqtt.V31, best) {
		best = mqtt.V31
	}
	against := mqtt.V5
	switch {
	case e.less(mqtt.V5, best):
		best, against = mqtt.V5, best
	case e.against[best] == e.against[mqtt.V5] && e.worse[best] == e.worse[mqtt.V5]:
		if e.text > 0 {
			best = mqtt.V5
		}
		if e.text != 0 {
			return uint8(best), false, e.prefer
		}
		return uint8(best), false, "no packet tells; 3.1.1 is likely"
	}
	if why = e.why[against]; why == "" {
		why = fmt.Sprintf("what is there breaks fewer rules of %v than of %v", best, against)
	}
	return uint8(best), e.against[best] == 0 && e.against[against] > 0, why
}

// less reports whether less speaks against v than against w.
func (e *Evidence) less(v, w mqtt.Version) bool {
	if e.against[v] != e.against[w] {
		return e.against[v] < e.against[w]
	}
	return e.worse[v] < e.worse[w]
}
