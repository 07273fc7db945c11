package decode

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/dissect"
)

// inMessages is the protocol that has WebSocket for each of its messages, and that
// nothing else has.
const inMessages = "coap-ws"

// ports are where protocols are at home. They break ties.
var ports = map[string][]uint16{
	mqttName: {1883, 1884, 8883, 8083, 8084, 8080, 9001},
	"mqttsn": {1884, 1885, 2442, 10000, 20000},
	"coap":   {5683, 5684, 5693},
	overTCP:  {5683, 5684},
	"emqtcp": {8090, 8091},
}

// reading is what a dissector says about a stream.
type reading struct {
	d    dissect.Dissector
	c    dissect.Confidence
	home bool // it is on the protocol's port
	why  string
	dir  dissect.Direction
}

// decide settles what l is, if that can be told by now; force settles it anyway.
func (e *Engine) decide(l *level, force bool) error {
	if l.hold != nil {
		return e.decideVersion(l, force)
	}
	if l.wrong(e) {
		e.turn(l)
	}
	switch w, more := l.wrapped(e); {
	case w != nil:
		l.state, l.wrap, l.heads = wrapped, w, [3]head{}
		return nil
	case more && !force:
		return nil
	}
	if e.as != nil {
		return e.choose(l, reading{d: e.as, c: dissect.Certain, why: "it was told to be"}, nil)
	}
	all, pieces, size := e.readings(l)
	if (len(all) == 0 || all[0].c <= dissect.Possible) && e.bareWebSocket(l) {
		return nil
	}
	if r := e.guess(l); r.d != nil && (len(all) == 0 || r.d.Name() == mqttName && all[0].c <= dissect.Possible && !all[0].home) && (force || size >= sniffBytes) {
		return e.choose(l, r, all)
	}
	if len(all) == 0 {
		if !force && (pieces < 2 || size < 16) {
			return nil
		}
		sure := force || pieces >= sniffPieces || size >= sniffBytes
		if r := e.later(l); sure && r.d != nil && !l.foreigner() {
			return e.choose(l, r, nil)
		}
		return e.passOver(l, sure)
	}
	best := all[0]
	if (best.c <= dissect.Possible || best.c <= dissect.Likely && l.words()) && !best.home && l.foreigner() {
		return e.passOver(l, true)
	}
	switch {
	case force, best.c == dissect.Certain, pieces >= sniffPieces, size >= sniffBytes:
	case best.c == dissect.Likely && (pieces >= 4 || size >= 64):
	default:
		return nil
	}
	if best.c == dissect.Certain {
		all = all[:1]
	}
	return e.choose(l, best, all[1:])
}

// readings returns what may be, the likeliest first.
func (e *Engine) readings(l *level) (all []reading, pieces, size int) {
	for dir := range l.heads {
		pieces += l.heads[dir].pieces
		size += len(l.heads[dir].bytes)
	}
	if size == 0 {
		return nil, pieces, size
	}
	port := e.port(l)
	for _, d := range e.o.Dissectors {
		if d.Name() == inMessages && !l.messages {
			continue
		}
		r := reading{d: d, home: slices.Contains(ports[d.Name()], port) || e.o.Port != 0 && slices.Contains(ports[d.Name()], e.o.Port)}
		asked, refused := 0, 0
		for i := range l.heads {
			h := &l.heads[i]
			if len(h.bytes) == 0 {
				continue
			}
			asked++
			c, why := e.sniff(l, d, h, dissect.Direction(i))
			if _, ok := d.(dissect.Sizer); ok && c == dissect.Possible && text(h.bytes) {
				c = dissect.No
			}
			if c == dissect.No {
				refused++
			}
			if c > r.c {
				r.c, r.why, r.dir = c, why, dissect.Direction(i)
			}
		}
		if refused > 0 && r.c > dissect.Possible {
			r.c-- // one side speaks for it, the other against it
		}
		if r.c != dissect.No {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b reading) int {
		if a.c != b.c {
			return int(b.c) - int(a.c)
		}
		switch {
		case a.home && !b.home:
			return -1
		case b.home && !a.home:
			return 1
		}
		return 0
	})
	return all, pieces, size
}

// port is the server's, or what it is said to be.
func (e *Engine) port(l *level) uint16 { return cmp.Or(l.s.Server.Port(), e.o.Port) }

// sniff asks d about the beginning of a direction.
func (e *Engine) sniff(l *level, d dissect.Dissector, h *head, dir dissect.Direction) (dissect.Confidence, string) {
	hint := dissect.Hint{Port: e.port(l), Direction: dir, Datagram: h.whole}
	b := h.bytes[:min(len(h.bytes), sniffBytes)]
	c, why := d.Sniff(b, hint)
	if l.s.Transport == "" && c < dissect.Certain { // what was pasted may be either
		hint.Datagram = !hint.Datagram
		if c2, why2 := d.Sniff(b, hint); c2 > c {
			return c2, why2
		}
	}
	return c, why
}

// choose makes best's protocol that of l; others lose.
func (e *Engine) choose(l *level, best reading, others []reading) error {
	s := &l.s.Stream
	s.Protocol, s.Why = best.d.Name(), best.why
	if best.home && len(others) > 0 && others[0].c == best.c {
		s.Why += ", and its port"
	}
	for _, other := range others {
		if s.Other = l.otherwise(other); s.Other != "" {
			break
		}
	}
	return e.versioned(l, best.d)
}

// text reports whether b is a few words at least, in ASCII: not the beginning of what
// has types and lengths.
func text(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c > '~' {
			return false
		}
	}
	return len(b) >= 4
}

// otherwise is other's reading on one line; "" if it cannot read all that is there.
func (l *level) otherwise(other reading) string {
	h := &l.heads[other.dir]
	p, n, err := other.d.Dissect(h.bytes, &dissect.Stream{Direction: other.dir, Whole: h.whole, Joined: true})
	if err != nil || n != len(h.bytes) || len(p.Problems) > 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s: %s)", strings.TrimSpace(other.d.Name()+" "+p.Type+" "+p.Summary), other.c, other.why)
}

// foreigner reports whether a side of l begins like a protocol that is not read.
func (l *level) foreigner() bool {
	for i := range l.heads {
		if dissect.Foreign(l.heads[i].bytes) != "" {
			return true
		}
	}
	return false
}

// words reports whether l begins with text, as protocols of lines do.
func (l *level) words() bool {
	for i := range l.heads {
		if text(l.heads[i].bytes) {
			return true
		}
	}
	return false
}

// passOver settles that l cannot be read. Without a known name it waits until sure.
func (e *Engine) passOver(l *level, sure bool) error {
	for i := range l.heads {
		h := &l.heads[i]
		if len(h.bytes) == 0 {
			continue
		}
		if name := dissect.Foreign(h.bytes); name != "" {
			return e.foreign(l, dissect.Direction(i), name)
		}
	}
	if !sure {
		return nil
	}
	n := Note{Kind: Unreadable, Stream: &l.s.Stream, Hint: "--as PROTOCOL reads it as one, --codec FILE by a definition of your own"}
	for i := range l.heads {
		if h := &l.heads[i]; len(h.bytes) > 0 {
			n.Direction = dissect.Direction(i)
			n.Text = fmt.Sprintf("not recognised: it begins with % x", h.bytes[:min(len(h.bytes), 16)])
			break
		}
	}
	l.state, l.heads = passedOver, [3]head{}
	if n.Text == "" {
		return nil // there is nothing
	}
	return e.noteBefore(l, n)
}

// foreignHints say what to do about a protocol that is not read.
var foreignHints = map[string]string{
	"TLS":   "give the secrets that a client has logged: --keylog FILE",
	"DTLS":  "DTLS cannot be decrypted here: capture in front of it, or behind",
	"HTTP":  "an MQTT port was expected? MQTT over WebSocket begins with an upgrade",
	"Kafka": "the client wants another port: that of a Kafka broker",
}

// foreign settles that l is of a protocol that is not read.
func (e *Engine) foreign(l *level, dir dissect.Direction, name string) error {
	text := "this is " + name
	l.state, l.heads = passedOver, [3]head{}
	return e.noteBefore(l, Note{Kind: Foreign, Stream: &l.s.Stream, Direction: dir, Text: text, Hint: foreignHints[name]})
}
