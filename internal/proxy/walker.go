package proxy

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// walker follows the packets of one direction through whatever pieces they come in,
// and judges their fixed headers. It keeps at most four bytes.
type walker struct {
	dir     Direction
	version mqtt.Version
	limit   int // of a packet, 0 for none

	left int // bytes of the present packet that are still to come
	head [4]byte
	have int     // bytes of a fixed header that is not complete
	out  [4]byte // those of the last one, which walk returns
}

// whole reports whether nothing of a packet is missing.
func (w *walker) whole() bool { return w.left == 0 && w.have == 0 }

// walk goes through b, calls seen for each packet that begins in it, with what is
// there of its body, and returns how many bytes of b may go on. err is what is wrong
// with the packet behind those. early are bytes that were held back before, and go
// ahead of b; they are valid until the next call. A fixed header that is cut is held
// back, and not counted in n; the rest of b is done with in any case.
func (w *walker) walk(b []byte, seen func(h mqtt.Header, size int, body []byte)) (early []byte, n int, err error) {
	if w.have > 0 {
		whole := append(make([]byte, 0, 8), w.head[:w.have]...)
		whole = append(whole, b[:min(len(b), 5-w.have)]...)
		h, _, size, err := mqtt.Frame(whole, w.limit)
		if errors.Is(err, mqtt.ErrShort) && size == 0 {
			w.have += copy(w.head[w.have:], b)
			return nil, 0, nil
		}
		if !errors.Is(err, mqtt.ErrShort) && err != nil {
			return nil, 0, err
		}
		if err := judge(h, w.dir, w.version); err != nil {
			return nil, 0, err
		}
		w.out = w.head
		early = w.out[:w.have]
		headBytes := size - h.Remaining
		w.left = size - w.have
		n = min(w.left, len(b))
		w.left -= n
		from := headBytes - w.have
		seen(h, size, b[min(from, n):n])
		w.have = 0
	}
	if w.left > 0 && n < len(b) {
		k := min(w.left, len(b)-n)
		w.left -= k
		n += k
	}
	for n < len(b) {
		h, body, size, err := mqtt.Frame(b[n:], w.limit)
		switch {
		case err == nil:
		case errors.Is(err, mqtt.ErrShort) && size == 0:
			w.have = copy(w.head[:], b[n:])
			return early, n, nil
		case errors.Is(err, mqtt.ErrShort):
			body = b[n+size-h.Remaining:]
		default:
			return early, n, err
		}
		if err := judge(h, w.dir, w.version); err != nil {
			return early, n, err
		}
		seen(h, size, body)
		k := min(size, len(b)-n)
		w.left = size - k
		n += k
	}
	return early, n, nil
}

// judge applies the rules about fixed headers behind CONNECT.
func judge(h mqtt.Header, d Direction, v mqtt.Version) error {
	bad := func(code mqtt.ReasonCode, clause, format string, args ...any) error {
		return &mqtt.Malformed{Packet: h.Type, Code: code, Clause: clause, Reason: fmt.Sprintf(format, args...)}
	}
	if h.Overlong && v >= mqtt.V5 {
		return bad(mqtt.MalformedPacket, "MQTT-1.5.5-1", "remaining length is not in its shortest form")
	}
	switch h.Type {
	case mqtt.TypePublish:
		if h.Flags&6 == 6 {
			return bad(mqtt.MalformedPacket, clauseFor(v, "MQTT3-3.3.1-4", "MQTT-3.3.1-4"), "QoS 3")
		}
		return nil
	case mqtt.TypeConnect:
		if d == ToServer {
			return bad(mqtt.ProtocolError, clauseFor(v, "MQTT3-3.1.0-2", "MQTT-3.1.0-2"), "a second CONNECT")
		}
	case mqtt.TypeAuth:
		if v < mqtt.V5 {
			return bad(mqtt.MalformedPacket, "MQTT3-2.2.1", "packet type 15 is reserved")
		}
	default:
	}
	if sender := senders[h.Type]; sender != d+1 && sender != either && !(h.Type == mqtt.TypeDisconnect && v >= mqtt.V5) {
		return bad(mqtt.ProtocolError, clauseFor(v, "MQTT3-2.2.1", "MQTT-2.1.2"), "sent in the wrong direction")
	}
	want := uint8(0)
	if h.Type == mqtt.TypePubrel || h.Type == mqtt.TypeSubscribe || h.Type == mqtt.TypeUnsubscribe {
		want = 2
	}
	if h.Flags != want && !(v == mqtt.V31 && h.Flags&^8 == want) {
		return bad(mqtt.MalformedPacket, clauseFor(v, "MQTT3-2.2.2-2", "MQTT-2.1.3-1"), "fixed header flags %#x instead of %#x", h.Flags, want)
	}
	return nil
}

func clauseFor(v mqtt.Version, v3, v5 string) string {
	if v < mqtt.V5 {
		return v3
	}
	return v5
}

const either Direction = 0

// senders says in which direction a type goes: ToServer+1, ToClient+1 or either.
var senders = [16]Direction{
	mqtt.TypeConnect: ToServer + 1, mqtt.TypeSubscribe: ToServer + 1, mqtt.TypeUnsubscribe: ToServer + 1,
	mqtt.TypePingreq: ToServer + 1, mqtt.TypeDisconnect: ToServer + 1,
	mqtt.TypeConnack: ToClient + 1, mqtt.TypeSuback: ToClient + 1, mqtt.TypeUnsuback: ToClient + 1, mqtt.TypePingresp: ToClient + 1,
}
