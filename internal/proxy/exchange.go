package proxy

import (
	"errors"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// ErrNoIdentifier says that all packet identifiers of a direction are in use.
var ErrNoIdentifier = errors.New("all packet identifiers are in use")

// Exchanges carries the messages of one direction from a sender to a receiver with
// another QoS than they came with, and completes the exchange with either of them.
// It maps packet identifiers, so that messages which get one on the way do not
// collide with those of the sender.
//
// Its methods say what is to be sent, and to whom. It keeps no message: who loses
// one sends it again, as the standard asks of him. The zero value changes nothing.
type Exchanges struct {
	// Change gives the QoS that a message goes on with.
	Change func(qos uint8) uint8
	// Map says that messages that come with QoS 0 may get another: then the
	// identifiers of all others have to be known, so that theirs differ.
	Map bool

	mu         sync.Mutex
	most       int  // see Raise
	lasting    bool // see Raise
	bySender   map[uint16]*exchange
	byReceiver map[uint16]*exchange
	next       uint16
	raised     int
}

type exchange struct {
	sender, receiver uint16 // 0: it has none with that side, or none any more
	from, to         uint8
	step             step
}

type step uint8

const (
	sent     step = iota // the message is with the receiver
	received             // the sender has had PUBREC from here, and has to release it
	released             // the receiver has had PUBREL from here
)

// Forward is what Publish says of a message: how it goes on, if at all, and what the
// sender gets for it at once.
type Forward struct {
	QoS      uint8
	Dup      bool
	PacketID uint16
	Keep     bool // it does not go on
	Answer   Ack  // to the sender; Type 0: none
	Lowered  bool // it should have been raised, or higher, and could not be
}

func (x *Exchanges) change(qos uint8) uint8 {
	if x.Change == nil {
		return qos
	}
	return min(x.Change(qos), 2)
}

// Raise says how many messages that come with QoS 0 may be on their way with another
// at a time; the others stay at QoS 0. At first it is none. If the receiver's session
// outlives the connection, they get QoS 1 at most: nobody would complete an exchange of
// QoS 2, and later the receiver would take another message for a duplicate.
func (x *Exchanges) Raise(most int, lasting bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.most, x.lasting = most, lasting
}

// Publish is asked about each message.
func (x *Exchanges) Publish(p *mqtt.Publish) (Forward, error) {
	to := x.change(p.QoS)
	same := Forward{QoS: p.QoS, Dup: p.Dup, PacketID: p.PacketID}
	x.mu.Lock()
	defer x.mu.Unlock()
	once := x.lasting && p.QoS == 0 && to == 2
	if once {
		to = 1
	}
	if e := x.bySender[p.PacketID]; p.QoS > 0 && e != nil {
		if e.from == p.QoS {
			return e.again(), nil
		}
		x.forget(e) // the sender has forgotten that exchange itself
	}
	switch {
	case p.QoS == 0 && to > 0 && x.raised >= x.most:
		same.Lowered = true
		return same, nil
	case to == p.QoS && (p.QoS == 0 || !x.Map):
		return same, nil
	}
	e := &exchange{sender: p.PacketID, from: p.QoS, to: to}
	f := Forward{QoS: to, Dup: p.Dup && to > 0, Lowered: once}
	if to > 0 {
		var err error
		if e.receiver, err = x.allocate(p.PacketID); err != nil {
			return Forward{}, err
		}
		f.PacketID = e.receiver
	} else {
		f.Answer = Ack{Type: mqtt.TypePuback, PacketID: e.sender}
		if p.QoS == 1 {
			return f, nil
		}
		f.Answer.Type = mqtt.TypePubrec
		e.step = received
	}
	x.remember(e)
	return f, nil
}

// again is what becomes of a message that the sender sends once more: it does not go
// on, since the receiver will get the first, and two answers to one message could be
// taken for those to the next with its identifier.
func (e *exchange) again() Forward {
	f := Forward{Keep: true}
	if e.step == received {
		f.Answer = Ack{Type: mqtt.TypePubrec, PacketID: e.sender}
	}
	return f
}

// FromSender is asked about a PUBREL. What it returns goes to the receiver, or, if
// back is set, to the sender.
func (x *Exchanges) FromSender(a Ack) (out Ack, back bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.bySender[a.PacketID]
	switch {
	case e == nil || e.from < 2:
		return a, false
	case e.to == 2:
		e.step = released
		a.PacketID = e.receiver
		return a, false
	case e.step == received:
		x.forget(e)
		return Ack{Type: mqtt.TypePubcomp, PacketID: a.PacketID}, true
	}
	return Ack{Type: mqtt.TypePubcomp, PacketID: a.PacketID, Code: mqtt.PacketIdentifierNotFound}, true // too early
}

// FromReceiver is asked about PUBACK, PUBREC and PUBCOMP. What it returns goes to
// the sender, or, if back is set, to the receiver; Type 0 is nothing.
func (x *Exchanges) FromReceiver(a Ack) (out Ack, back bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.byReceiver[a.PacketID]
	if e == nil {
		return a, false
	}
	switch {
	case (a.Type == mqtt.TypePubcomp) != (e.step == released):
		return Ack{}, false // too early or too late: it answers something that was sent twice
	case a.Type == mqtt.TypePubrec && e.to == 2 && !a.Code.IsError() && e.from < 2:
		e.step = released
		return Ack{Type: mqtt.TypePubrel, PacketID: a.PacketID}, true
	case a.Type == mqtt.TypePubrec && e.to == 2 && !a.Code.IsError():
		a.PacketID = e.sender
		return a, false
	case a.Type == mqtt.TypePuback && e.to == 1 && e.from == 2 && !a.Code.IsError():
		delete(x.byReceiver, e.receiver)
		e.step, e.receiver = received, 0
		a.Type, a.PacketID = mqtt.TypePubrec, e.sender
		return a, false
	case a.Type == mqtt.TypePuback && e.to != 1, a.Type != mqtt.TypePuback && e.to != 2:
		return Ack{}, false // of another kind than the message
	}
	x.forget(e)
	return e.last(a), false
}

// last is what the sender gets for the answer that ends an exchange.
func (e *exchange) last(a Ack) Ack {
	a.PacketID = e.sender
	switch {
	case e.from == 0:
		return Ack{}
	case e.from == 1:
		a.Type = mqtt.TypePuback
		if a.Code == mqtt.PacketIdentifierNotFound { // a PUBCOMP's; no PUBACK says that
			a.Code, a.Properties = mqtt.Success, nil
		}
	case a.Code.IsError() && a.Type == mqtt.TypePuback:
		a.Type = mqtt.TypePubrec
	}
	return a
}

// Request maps the identifier of a SUBSCRIBE or UNSUBSCRIBE, which shares the
// identifiers with the messages of the client.
func (x *Exchanges) Request(id uint16) (uint16, error) {
	if !x.Map {
		return id, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.bySender[id]; e != nil {
		x.forget(e)
	}
	r, err := x.allocate(id)
	if err != nil {
		return 0, err
	}
	x.remember(&exchange{sender: id, receiver: r, from: 1, to: 1})
	return r, nil
}

// Reply maps the identifier of a SUBACK or UNSUBACK back.
func (x *Exchanges) Reply(id uint16) uint16 {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.byReceiver[id]
	if e == nil {
		return id
	}
	x.forget(e)
	return e.sender
}

// Len is how many exchanges are known.
func (x *Exchanges) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.bySender)
	for _, e := range x.byReceiver {
		if e.sender == 0 {
			n++
		}
	}
	return n
}

// allocate finds an identifier that the receiver has not in use: the sender's own if
// possible, else one from the top, where senders come last.
func (x *Exchanges) allocate(wish uint16) (uint16, error) {
	if wish != 0 && x.byReceiver[wish] == nil {
		return wish, nil
	}
	for range 65535 {
		if x.next--; x.next == 0 {
			x.next = 65535
		}
		if x.byReceiver[x.next] == nil {
			return x.next, nil
		}
	}
	return 0, ErrNoIdentifier
}

func (x *Exchanges) remember(e *exchange) {
	if x.bySender == nil {
		x.bySender, x.byReceiver = make(map[uint16]*exchange), make(map[uint16]*exchange)
	}
	if e.sender != 0 {
		x.bySender[e.sender] = e
	} else {
		x.raised++
	}
	if e.receiver != 0 {
		x.byReceiver[e.receiver] = e
	}
}

func (x *Exchanges) forget(e *exchange) {
	if e.sender == 0 {
		x.raised--
	} else if x.bySender[e.sender] == e {
		delete(x.bySender, e.sender)
	}
	if e.receiver != 0 && x.byReceiver[e.receiver] == e {
		delete(x.byReceiver, e.receiver)
	}
}
