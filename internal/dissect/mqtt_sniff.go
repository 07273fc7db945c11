package dissect

import (
	"bytes"
	"encoding/binary"
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
	for at < len(b) && packets < sniffPackets {
		size := MQTT{}.Size(b[at:])
		if size == 0 || at+size > len(b) {
			break
		}
		f := fitting(b[at:at+size], h.Direction)
		if f == unfit && packets == 0 {
			return No, ""
		}
		if f == strictly {
			strict++
		}
		packets++
		at += size
	}
	ends := at == len(b) || packets == sniffPackets || begins(b[at:])
	switch {
	case packets == 0 && ends:
		return Possible, "it begins like a packet"
	case packets == 0 || !ends && strict*2 <= packets:
		return No, ""
	case !ends:
		return Possible, "it begins with packets"
	case strict*2 <= packets:
		return Possible, "the lengths of its packets fit"
	case packets == 1:
		return Likely, "a packet without a fault"
	case at == len(b):
		return Likely, plural(packets, "packet") + " fill the bytes"
	}
	return Likely, plural(packets, "packet") + ", one behind the other"
}

// sniffPackets is how many packets are looked at.
const sniffPackets = 64

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

// fit is how well bytes are a packet.
type fit uint8

const (
	unfit    fit = iota
	faulty       // with few faults
	strictly     // with none
)

// The largest packets whose faults are counted: those with a list of codes may have
// one in each byte.
const (
	sniffFaulty = 512
	sniffCodes  = 32
)

// fitting says how well b, which has the length that it says, is a packet of some
// version. It is asked at each byte where a packet is looked for, so that most are
// to be refused at a glance.
func fitting(b []byte, from Direction) fit {
	h := mqttHead(b)
	if h.typ == 0 || h.typ != mqtt.TypeConnect && !sane(b, h) {
		return unfit
	}
	legal := legalFlags(h)
	if legal {
		o := mqtt.Options{FromServer: from == FromServer, EitherSide: from == Unknown}
		for _, o.Version = range mqttVersions {
			if _, _, err := mqtt.Parse(b, o); err == nil {
				return strictly
			}
		}
	}
	if len(b) > sniffFaulty || len(b) > sniffCodes && (h.typ == mqtt.TypeSuback || h.typ == mqtt.TypeUnsuback) {
		return unfit
	}
	faults := 4
	if !legal {
		faults = 1
	}
	for _, v := range mqttVersions {
		if _, cost, _ := judged(from, b, v); cost <= faults {
			return faulty
		}
	}
	return unfit
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
