package fault

import (
	"encoding/binary"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// identifiers keeps the packet identifiers of one direction apart: those of the
// requests that its sender has made, and those that rules have made in its place.
//
//	sender          proxy            receiver
//	   PUBLISH 1 ->                  PUBLISH 1 ->
//	               injected          PUBLISH 65535 ->
//	                                 <- PUBACK 65535     ends here
//	   PUBLISH 65535 ->              PUBLISH 65534 ->    renamed
//	   <- PUBACK 65535               <- PUBACK 65534
type identifiers struct {
	flying  map[uint16]struct{}  // of the sender, not answered yet
	own     map[uint16]mqtt.Type // injected requests, by what they wait for
	renamed map[uint16]uint16    // the sender's to ours
	back    map[uint16]uint16    // ours to the sender's
	extra   map[extra]int        // answers to duplicates; negative: the first has not come yet
	lied    map[uint16]struct{}  // QoS 2 publications that got their PUBREC here
}

// extra is an answer that comes more often than its request was made.
type extra struct {
	id  uint16
	typ mqtt.Type
}

// asks tells whether packets of a type have the identifiers of their own direction;
// answers have those of the other.
func asks(t mqtt.Type) bool {
	return t == mqtt.TypePublish || t == mqtt.TypePubrel || t == mqtt.TypeSubscribe || t == mqtt.TypeUnsubscribe
}

// answerTo is the type that answers a request.
func answerTo(h mqtt.Header) mqtt.Type {
	switch h.Type {
	case mqtt.TypePublish:
		switch h.Flags >> 1 & 3 {
		case 1:
			return mqtt.TypePuback
		case 2:
			return mqtt.TypePubrec
		}
	case mqtt.TypePubrel:
		return mqtt.TypePubcomp
	case mqtt.TypeSubscribe:
		return mqtt.TypeSuback
	case mqtt.TypeUnsubscribe:
		return mqtt.TypeUnsuback
	}
	return 0
}

// idOf is the packet identifier of a frame, and where it stands; 0 for none.
func idOf(f *proxy.Frame) (id uint16, at int) {
	if !hasID(f.Header) || f.Header.Remaining > len(f.Bytes) {
		return 0, 0
	}
	body := f.Body()
	off := 0
	if f.Header.Type == mqtt.TypePublish {
		if len(body) < 2 {
			return 0, 0
		}
		off = 2 + int(binary.BigEndian.Uint16(body))
	}
	if len(body) < off+2 {
		return 0, 0
	}
	return binary.BigEndian.Uint16(body[off:]), len(f.Bytes) - len(body) + off
}

// withID is f with another identifier at an offset.
func withID(f proxy.Frame, at int, id uint16) proxy.Frame {
	f.Bytes = slices.Clone(f.Bytes)
	binary.BigEndian.PutUint16(f.Bytes[at:], id)
	return f
}

// free finds an identifier that neither the sender nor a rule uses, from the top.
func (s *identifiers) free() uint16 {
	for id := uint16(65535); id > 0; id-- {
		_, flies := s.flying[id]
		_, owned := s.own[id]
		_, ours := s.back[id]
		if !flies && !owned && !ours {
			return id
		}
	}
	return 0
}

// request takes note of a request of the sender, and gives it another identifier if
// a rule uses its own.
func (s *identifiers) request(f proxy.Frame) proxy.Frame {
	id, at := idOf(&f)
	if id == 0 {
		return f
	}
	if other, ok := s.renamed[id]; ok {
		return withID(f, at, other)
	}
	if _, taken := s.own[id]; taken && f.Header.Type != mqtt.TypePubrel {
		other := s.free()
		if other == 0 {
			return f
		}
		put(&s.renamed, id, other)
		put(&s.back, other, id)
		return withID(f, at, other)
	}
	put(&s.flying, id, struct{}{})
	return f
}

// answer decides about an answer from the receiver: whether it goes on to the
// sender, and with which identifier. reply is a type that has to be sent back to the
// receiver with the answer's identifier, 0 for none.
func (s *identifiers) answer(f proxy.Frame) (out proxy.Frame, pass bool, reply mqtt.Type) {
	id, at := idOf(&f)
	if id == 0 {
		return f, true, 0
	}
	t := f.Header.Type
	if wants, ok := s.own[id]; ok {
		return f, false, s.answerOwn(id, t, wants, failed(&f))
	}
	if n := s.extra[extra{id, t}]; n < 0 {
		s.extra[extra{id, t}] = -n // the first one
	} else if n > 0 {
		s.extra[extra{id, t}] = n - 1
		if n == 1 {
			delete(s.extra, extra{id, t})
		}
		return f, false, 0
	}
	done := t != mqtt.TypePubrec || failed(&f)
	if theirs, ok := s.back[id]; ok {
		if done {
			delete(s.back, id)
			delete(s.renamed, theirs)
		}
		return withID(f, at, theirs), true, 0
	}
	if done {
		delete(s.flying, id)
	}
	return f, true, 0
}

// answerOwn goes on with an injected request.
func (s *identifiers) answerOwn(id uint16, t, wants mqtt.Type, failed bool) (reply mqtt.Type) {
	switch {
	case t == mqtt.TypePubrec && !failed:
		s.own[id] = mqtt.TypePubcomp
		return mqtt.TypePubrel
	case t == wants, failed:
		delete(s.own, id)
	}
	return 0
}

// failed tells whether an acknowledgement says so.
func failed(f *proxy.Frame) bool {
	body := f.Body()
	return len(body) > 2 && body[2] >= 0x80 && f.Header.Type != mqtt.TypeSuback && f.Header.Type != mqtt.TypeUnsuback
}

// inject takes an identifier for a request of a rule.
func (s *identifiers) inject(f proxy.Frame, keep bool) proxy.Frame {
	id, at := idOf(&f)
	if at == 0 || !asks(f.Header.Type) {
		return f
	}
	if !keep {
		if id = s.free(); id == 0 {
			return f
		}
		f = withID(f, at, id)
	}
	if _, flies := s.flying[id]; !flies { // else it is the sender's, who gets the answer
		put(&s.own, id, answerTo(f.Header))
	}
	return f
}

// expect takes note of a duplicate of f, whose answer nobody waits for.
func (s *identifiers) expect(f proxy.Frame) proxy.Frame {
	id, at := idOf(&f)
	if other, ok := s.renamed[id]; ok {
		id = other
		f = withID(f, at, id)
	}
	if t := answerTo(f.Header); id != 0 && t != 0 {
		put(&s.extra, extra{id, t}, min(s.extra[extra{id, t}], 0)-1)
	}
	return f
}

// put sets m[k], and makes m first where there is none.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}
