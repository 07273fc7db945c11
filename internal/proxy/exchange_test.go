package proxy

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// world is a sender and a receiver of messages as the standard wants them, who talk by
// Exchanges. Packets arrive in order; which side goes on is chance. Messages are
// numbers.
type world struct {
	t   *testing.T
	rnd *rand.Rand
	x   *Exchanges

	toReceiver, toSender []packet

	// The sender.
	unacked map[uint16]*outgoing
	nextID  uint16
	sent    []int // messages, by number, with the QoS that they were sent with
	// The receiver.
	pending map[uint16]int // QoS 2 without PUBREL
	got     map[int]int
	held    []packet // answers that it has not given yet
}

type packet struct {
	typ mqtt.Type
	id  uint16
	qos uint8
	dup bool
	msg int
}

type outgoing struct {
	packet
	released bool
	request  bool
}

func (w *world) send() {
	qos := uint8(w.rnd.IntN(3))
	p := packet{typ: mqtt.TypePublish, qos: qos, msg: len(w.sent)}
	if w.rnd.IntN(10) == 0 {
		p = packet{typ: mqtt.TypeSubscribe, id: w.free()}
		w.unacked[p.id] = &outgoing{packet: p, request: true}
	} else {
		w.sent = append(w.sent, int(qos))
		if qos > 0 {
			p.id = w.free()
			w.unacked[p.id] = &outgoing{packet: p}
		}
	}
	w.fromSender(p)
}

// free is an identifier that the sender does not use; small numbers and large ones, so
// that they meet those that Exchanges makes.
func (w *world) free() uint16 {
	for {
		w.nextID++
		id := w.nextID % 50
		if w.rnd.IntN(2) == 0 {
			id = 65535 - id
		}
		if id != 0 && w.unacked[id] == nil {
			return id
		}
	}
}

// again sends something once more, as senders of 3.1 may do at any time.
func (w *world) again() {
	for _, o := range w.unacked {
		switch {
		case o.request:
		case o.released:
			w.fromSender(packet{typ: mqtt.TypePubrel, id: o.id})
		default:
			p := o.packet
			p.dup = true
			w.fromSender(p)
		}
		return
	}
}

// fromSender is what the proxy does with a packet of the sender.
func (w *world) fromSender(p packet) {
	switch p.typ {
	case mqtt.TypePublish:
		in := mqtt.Publish{QoS: p.qos, PacketID: p.id, Dup: p.dup}
		f, err := w.x.Publish(&in)
		if err != nil {
			w.t.Fatal(err)
		}
		if !f.Keep {
			if f.QoS > 0 && f.PacketID == 0 || f.QoS == 0 && (f.PacketID != 0 || f.Dup) {
				w.t.Fatalf("%+v", f)
			}
			w.toReceiver = append(w.toReceiver, packet{mqtt.TypePublish, f.PacketID, f.QoS, f.Dup, p.msg})
		}
		if f.Answer.Type != 0 {
			w.toSender = append(w.toSender, packet{typ: f.Answer.Type, id: f.Answer.PacketID})
		}
	case mqtt.TypePubrel:
		a, back := w.x.FromSender(Ack{Type: p.typ, PacketID: p.id})
		w.route(a, back, &w.toReceiver, &w.toSender)
	case mqtt.TypeSubscribe:
		id, err := w.x.Request(p.id)
		if err != nil {
			w.t.Fatal(err)
		}
		w.toReceiver = append(w.toReceiver, packet{typ: p.typ, id: id})
	}
}

func (w *world) route(a Ack, back bool, on, other *[]packet) {
	if a.Type == 0 {
		return
	}
	if back {
		on = other
	}
	*on = append(*on, packet{typ: a.Type, id: a.PacketID})
}

// receive has the receiver take a packet.
func (w *world) receive() {
	p := w.toReceiver[0]
	w.toReceiver = w.toReceiver[1:]
	answer := packet{id: p.id}
	switch {
	case p.typ == mqtt.TypeSubscribe:
		answer.typ = mqtt.TypeSuback
	case p.typ == mqtt.TypePubrel:
		delete(w.pending, p.id)
		answer.typ = mqtt.TypePubcomp
	case p.qos == 0:
		w.got[p.msg]++
		return
	case p.qos == 1:
		w.got[p.msg]++
		answer.typ = mqtt.TypePuback
	default:
		if was, again := w.pending[p.id]; !again {
			w.got[p.msg]++
			w.pending[p.id] = p.msg
		} else if was != p.msg {
			w.t.Fatalf("message %d has the identifier %d of message %d, which has not been released", p.msg, p.id, was)
		}
		answer.typ = mqtt.TypePubrec
	}
	w.held = append(w.held, answer)
}

// answer has the receiver answer, and the proxy pass that on.
func (w *world) answer() {
	a := w.held[0]
	w.held = w.held[1:]
	if a.typ == mqtt.TypeSuback {
		w.toSender = append(w.toSender, packet{typ: a.typ, id: w.x.Reply(a.id)})
		return
	}
	out, back := w.x.FromReceiver(Ack{Type: a.typ, PacketID: a.id})
	w.route(out, back, &w.toSender, &w.toReceiver)
}

// learn has the sender take an answer.
func (w *world) learn() {
	a := w.toSender[0]
	w.toSender = w.toSender[1:]
	o := w.unacked[a.id]
	if o == nil {
		return // to something that was sent twice
	}
	switch {
	case o.request:
		if a.typ == mqtt.TypeSuback {
			delete(w.unacked, a.id)
		}
	case o.qos == 1 && a.typ == mqtt.TypePuback:
		delete(w.unacked, a.id)
	case o.qos == 2 && a.typ == mqtt.TypePubrec:
		o.released = true
		w.fromSender(packet{typ: mqtt.TypePubrel, id: a.id})
	case o.qos == 2 && o.released && a.typ == mqtt.TypePubcomp:
		delete(w.unacked, a.id)
	}
}

func (w *world) idle() bool { return len(w.toReceiver)+len(w.toSender)+len(w.held) == 0 }

func (w *world) step() {
	switch n := w.rnd.IntN(3); {
	case n == 0 && len(w.toReceiver) > 0:
		w.receive()
	case n == 1 && len(w.held) > 0:
		w.answer()
	case n == 2 && len(w.toSender) > 0:
		w.learn()
	}
}

// TestNoMessageIsLostByExchanges holds any change of QoS to what both sides may count
// on: everything of QoS 1 and 2 arrives, QoS 2 that stays QoS 2 exactly once, and no
// exchange is left over.
func TestNoMessageIsLostByExchanges(t *testing.T) {
	for low := range uint8(3) {
		for high := low; high < 3; high++ {
			for seed := range uint64(20) {
				t.Run(fmt.Sprintf("%d to %d/seed=%d", low, high, seed), func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, uint64(low)<<8|uint64(high)))
					w := &world{
						t: t, rnd: rnd, unacked: make(map[uint16]*outgoing), pending: make(map[uint16]int), got: make(map[int]int),
						x: &Exchanges{Change: func(q uint8) uint8 { return min(max(q, low), high) }, Map: low > 0},
					}
					if low > 0 {
						w.x.Raise(8, false)
					}
					repeats := seed%2 == 0 // a sender of 5.0 sends nothing twice
					for range 2000 {
						switch n := rnd.IntN(8); {
						case n == 0 && len(w.unacked) < 20:
							w.send()
						case n == 1 && repeats && rnd.IntN(4) == 0:
							w.again()
						default:
							w.step()
						}
						if w.x.Len() > 2*20+8 { // what is sent twice may be known twice
							t.Fatalf("%d exchanges are known", w.x.Len())
						}
					}
					for !w.idle() {
						w.step()
					}
					if len(w.unacked) != 0 || len(w.pending) != 0 || w.x.Len() != 0 {
						t.Fatalf("left over: %d with the sender, %d with the receiver, %d between", len(w.unacked), len(w.pending), w.x.Len())
					}
					for msg, qos := range w.sent {
						n := w.got[msg]
						exact := !repeats || qos == 2 && high == 2
						if n == 0 || n > 1 && exact {
							t.Errorf("message %d of QoS %d has arrived %d times", msg, qos, n)
						}
					}
				})
			}
		}
	}
}

// FuzzExchanges feeds packets that make no sense: nothing panics, and what is known
// stays bounded by the identifiers that were named.
func FuzzExchanges(f *testing.F) {
	f.Add([]byte{0x31, 1, 0x42, 1, 0x51, 2, 0x93, 7}, uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, low, high uint8) {
		low, high = low%3, high%3
		x := &Exchanges{Change: func(q uint8) uint8 { return min(max(q, low), high) }, Map: low > 0}
		x.Raise(4, false)
		for ; len(b) >= 2; b = b[2:] {
			id := uint16(b[1])%16 + 1
			if b[0]&1 != 0 {
				id = 0 - id
			}
			code := mqtt.Success
			if b[0]&8 != 0 {
				code = mqtt.QuotaExceeded
			}
			switch a := (Ack{Type: mqtt.Type(b[0] >> 4), PacketID: id, Code: code}); a.Type {
			case mqtt.TypePublish:
				p := mqtt.Publish{QoS: b[0] >> 1 % 3, PacketID: id}
				if _, err := x.Publish(&p); err != nil {
					t.Fatal(err)
				}
			case mqtt.TypePubrel:
				x.FromSender(a)
			case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubcomp:
				x.FromReceiver(a)
			case mqtt.TypeSubscribe:
				if _, err := x.Request(id); err != nil {
					t.Fatal(err)
				}
			case mqtt.TypeSuback:
				x.Reply(id)
			}
			if x.Len() > 32+4+32 {
				t.Fatalf("%d exchanges", x.Len())
			}
		}
	})
}
