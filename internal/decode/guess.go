package decode

import (
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/dissect"
)

// guess is for packets that break their protocol's rules too much to be recognised,
// where there is a reason to look: they were pasted, or are on its port. Their lengths
// have to be right.
func (e *Engine) guess(l *level) reading {
	if l.foreigner() {
		return reading{}
	}
	for _, d := range e.o.Dissectors {
		z, ok := d.(dissect.Sizer)
		if !ok || l.s.Transport != "" && !slices.Contains(ports[d.Name()], e.port(l)) {
			continue
		}
		for i := range l.heads {
			h := &l.heads[i]
			r := reading{d: d, why: "a guess: its length is right", dir: dissect.Direction(i)}
			switch {
			case len(h.bytes) == 0, h.whole != datagrams[d.Name()] && l.s.Transport != "":
			case d.Name() == mqttName && h.bytes[0] < mqttConnect: // no type
			case d.Name() == mqttName && h.bytes[0] == mqttConnect:
				r.why = "a guess: its first byte is that of a CONNECT"
				return r
			case d.Name() != overTCP && fill(z, h.bytes):
				return r
			}
		}
	}
	return e.guessCoAP(l)
}

// overTCP is a protocol whose lengths are too short to tell anything.
const overTCP = "coap-tcp"

// datagrams are the protocols that have a datagram for each of their packets, and
// lengths in them.
var datagrams = map[string]bool{"mqttsn": true, "mqttsn2": true}

// fill reports whether packets of more than one byte fill b, by what they say of their
// lengths.
func fill(z dissect.Sizer, b []byte) bool {
	for len(b) > 0 {
		size := z.Size(b)
		if size < 2 || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// guessCoAP is for what has the version and a class of codes of CoAP.
func (e *Engine) guessCoAP(l *level) reading {
	for _, d := range e.o.Dissectors {
		if d.Name() != "coap" || l.s.Transport != "" && !slices.Contains(ports[d.Name()], e.port(l)) {
			continue
		}
		for i := range l.heads {
			b := l.heads[i].bytes
			if len(b) >= 4 && b[0]>>6 == 1 && slices.Contains([]byte{0, 2, 4, 5}, b[1]>>5) && !text(b) {
				return reading{d: d, why: "a guess: version 1, and a class of codes", dir: dissect.Direction(i)}
			}
		}
	}
	return reading{}
}

// later looks for packets further on, where the capture began within one.
func (e *Engine) later(l *level) reading {
	if !l.joined {
		return reading{}
	}
	for i := range l.heads {
		h := &l.heads[i]
		if h.whole {
			continue
		}
		hint := dissect.Hint{Port: l.s.Server.Port(), Direction: dissect.Direction(i)}
		b := h.bytes[:min(len(h.bytes), sniffBytes)]
		for at := 1; at < len(b); at++ {
			for _, d := range e.o.Dissectors {
				if _, ok := d.(dissect.Sizer); !ok {
					continue
				}
				if c, why := d.Sniff(b[at:], hint); c >= dissect.Likely {
					return reading{d: d, c: c, why: fmt.Sprintf("%s, after %s: a guess", why, plural(at, "byte")), dir: dissect.Direction(i)}
				}
			}
		}
	}
	return reading{}
}
