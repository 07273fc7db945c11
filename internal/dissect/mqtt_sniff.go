package dissect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Sniff implements Dissector: a CONNECT with a known name is proof, a chain of
// packets that ends where the bytes do speaks for it.
func (MQTT) Sniff(b []byte, h Hint) (Confidence, string) {
	if len(b) == 0 || h.Datagram {
		return No, ""
	}
	if mqtt.Type(b[0]>>4) == mqtt.TypeConnect {
		if c, why := sniffConnect(b); c != No {
			return c, why
		}
	}
	packets, strict, at := 0, 0, 0
	for at < len(b) {
		head := mqttHead(b[at:])
		if head.typ == 0 || head.head < 0 {
			return No, ""
		}
		if head.head == 0 || at+head.size > len(b) {
			break
		}
		fits, legal := mqttFits(b[at:at+head.size], h.Direction)
		if !legal && packets == 0 && at+head.size < len(b) || !fits && len(b) > at+head.size && packets == 0 && !sane(b[at:], head) {
			return No, ""
		}
		if fits {
			strict++
		}
		packets++
		at += head.size
		if packets == 64 {
			return Likely, "64 packets, one behind the other"
		}
	}
	rest := b[at:]
	switch {
	case packets == 0 && !begins(rest):
		return No, ""
	case packets == 0:
		return Possible, "it begins like a packet"
	case strict < packets && strict*2 <= packets:
		if len(rest) > 0 {
			return No, ""
		}
		return Possible, "the lengths of its packets fit"
	case len(rest) > 0 && !begins(rest):
		return Possible, "it begins with packets"
	case packets > 1 && len(rest) == 0:
		return Likely, fmt.Sprintf("%d packets fill the bytes", packets)
	case packets > 1:
		return Likely, fmt.Sprintf("%d packets, one behind the other", packets)
	}
	return Likely, "a packet without a fault"
}

// sniffConnect looks for the name of the protocol.
func sniffConnect(b []byte) (Confidence, string) {
	h := mqttHead(b)
	if h.head <= 0 || h.size < h.head+2 {
		return No, ""
	}
	body := b[h.head:]
	for _, name := range []string{"\x00\x04MQTT", "\x00\x06MQIsdp"} {
		switch {
		case bytes.HasPrefix(body, []byte(name)) && h.size >= h.head+len(name)+4:
			return Certain, "a CONNECT with the name " + name[2:]
		case len(body) > 2 && len(body) < len(name) && bytes.HasPrefix([]byte(name), body):
			return Likely, "it begins like a CONNECT"
		}
	}
	return No, ""
}

// mqttFits reports whether a whole packet breaks no rule of some version, and
// whether its flags are right.
func mqttFits(b []byte, from Direction) (fits, legal bool) {
	h := mqttHead(b)
	legal = legalFlags(h)
	if !legal {
		return false, false
	}
	o := mqtt.Options{FromServer: from == FromServer, EitherSide: from == Unknown}
	for _, o.Version = range []mqtt.Version{mqtt.V311, mqtt.V5} {
		if _, _, err := mqtt.Parse(b, o); err == nil {
			return true, true
		}
	}
	return false, true
}

func legalFlags(h mqttHeader) bool {
	switch h.typ {
	case 0:
		return false
	case mqtt.TypePublish:
		return h.flags&6 != 6
	case mqtt.TypePubrel, mqtt.TypeSubscribe, mqtt.TypeUnsubscribe:
		return h.flags&^8 == 2
	}
	return h.flags == 0
}

// begins reports whether b may be the beginning of a packet.
func begins(b []byte) bool {
	h := mqttHead(b)
	return legalFlags(h) && (h.head == 0 || h.head > 0 && sane(b, h))
}

// sane reports whether the body at b, as far as it is there, may be one.
func sane(b []byte, h mqttHeader) bool {
	body, size := b[h.head:min(len(b), h.size)], h.size-h.head
	switch h.typ {
	case mqtt.TypeConnect:
		return size >= 10 && len(body) <= 2
	case mqtt.TypePublish:
		if len(body) < 2 {
			return size >= 2
		}
		n := int(binary.BigEndian.Uint16(body))
		topic := body[2:min(len(body), 2+n)]
		return n+2 <= size && bytes.IndexByte(topic, 0) < 0 && (utf8.Valid(topic) || len(topic) < n)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return size >= 2 && (len(body) < 3 || mqtt.ReasonCode(body[2]).AllowedIn(h.typ))
	case mqtt.TypeConnack:
		return size >= 2 && (len(body) < 1 || body[0] < 2)
	case mqtt.TypeSubscribe, mqtt.TypeUnsubscribe:
		return size >= 5 && (len(body) < 4 || int(body[2])<<8+int(body[3]) <= size || int(body[2]) <= size)
	case mqtt.TypeSuback, mqtt.TypeUnsuback:
		return size >= 2
	case mqtt.TypePingreq, mqtt.TypePingresp:
		return size == 0
	}
	return len(body) == 0 || mqtt.ReasonCode(body[0]).AllowedIn(h.typ)
}
