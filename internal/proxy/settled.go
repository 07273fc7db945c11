package proxy

import (
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Settled answers, in the place of the receiver, for messages of one direction that
// a stage keeps from it, and knows the QoS 2 exchanges that it has to complete
// itself therefore. There are at most as many as packet identifiers. The zero value
// is ready.
type Settled struct {
	mu  sync.Mutex
	ids map[uint16]struct{}
}

// Answer is what the sender of p, which is kept from its receiver, is to get back;
// ok is false at QoS 0. A code that reports failure is for 5.0 alone: it ends the
// exchange, and before 5.0 the answer is that all is well.
func (s *Settled) Answer(p *mqtt.Publish, v mqtt.Version, code mqtt.ReasonCode) (a Ack, ok bool) {
	if v < mqtt.V5 {
		code = mqtt.Success
	}
	switch p.QoS {
	case 0:
		return Ack{}, false
	case 1:
		return Ack{Type: mqtt.TypePuback, PacketID: p.PacketID, Code: code}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if code.IsError() {
		delete(s.ids, p.PacketID)
	} else {
		s.add(p.PacketID)
	}
	return Ack{Type: mqtt.TypePubrec, PacketID: p.PacketID, Code: code}, true
}

// Add takes over what is left of an exchange: its PUBREL will come.
func (s *Settled) Add(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(id)
}

func (s *Settled) add(id uint16) {
	if s.ids == nil {
		s.ids = make(map[uint16]struct{})
	}
	s.ids[id] = struct{}{}
}

// Passed says that a message with that identifier went to the receiver after all:
// the exchange is not the stage's any more.
func (s *Settled) Passed(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
}

// Release answers a PUBREL; ok is false if the exchange is the receiver's.
func (s *Settled) Release(id uint16) (a Ack, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok = s.ids[id]; !ok {
		return Ack{}, false
	}
	delete(s.ids, id)
	return Ack{Type: mqtt.TypePubcomp, PacketID: id}, true
}

// Len is how many exchanges wait for their PUBREL.
func (s *Settled) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}
