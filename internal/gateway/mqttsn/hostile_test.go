package mqttsn

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/store"
)

// vectors are datagrams of every kind, and many that are none.
func vectors(t testing.TB) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(uncomment(line)); line == "" {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// stored counts what is in the store, but what belongs to the MQTT side.
func (w *world) stored() int {
	n := 0
	_ = w.store.Load(w.t.Context(), func(r store.Record) error {
		if !strings.Contains(fmt.Sprint(r), "mqtt side") {
			n++
		}
		return nil
	})
	return n
}

// mutate changes a few bytes of b, its length, or nothing.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range r.IntN(4) {
		switch r.IntN(4) {
		case 0:
			b[r.IntN(len(b))] = byte(r.IntN(256))
		case 1:
			if len(b) > 1 {
				b = b[:1+r.IntN(len(b)-1)]
			}
		case 2:
			b = append(b, byte(r.IntN(256)))
		case 3:
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
	}
	return b
}

// TestHostileDatagrams sends what strangers may, one datagram from each address:
// nobody but who connects is remembered, and what is dropped is counted once.
func TestHostileDatagrams(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	all := vectors(t)
	settings := map[string]string{"unknown_reply_rate": "1000000"}
	w := newWorld(t, settings)
	n := 200_000
	if testing.Short() || underRaceDetector() {
		n = 10_000
	}
	for i := range n {
		var b []byte
		switch r.IntN(10) {
		case 0:
			b = make([]byte, r.IntN(40))
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
		case 1: // a type that exists around anything
			b = make([]byte, 2+r.IntN(20))
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
			b[0], b[1] = byte(len(b)), byte(r.IntN(0x20))
		default:
			b = mutate(r, all[r.IntN(len(all))])
		}
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		clients, sessions, stored := w.clients(), w.sessions(), w.stored()
		w.dropped()
		w.receive(from, b)
		out := 0
		for _, d := range w.air.queue {
			if d.Addr == from {
				out += len(d.Data)
			} else if kindOf(b) != mqttsn.TypeConnect { // which may take over
				t.Fatalf("%x: something goes to %s", b, d.Addr)
			}
		}
		w.air.queue = w.air.queue[:0]
		if out > 3*len(b) {
			t.Fatalf("%x: %d bytes are answered by %d", b, len(b), out)
		}
		kind := kindOf(b)
		if kind == mqttsn.TypeConnect {
			w = newWorld(t, settings)
			continue
		}
		if w.clients() != clients || w.sessions() != sessions || w.stored() != stored {
			t.Fatalf("%x is remembered: clients %d, sessions %d, records %d", b, w.clients()-clients, w.sessions()-sessions, w.stored()-stored)
		}
		switch got := w.dropped(); kind {
		case mqttsn.TypeAdvertise, mqttsn.TypeGWInfo: // noted, if anybody cares
		case mqttsn.TypeSearchGW:
			if got != 0 || out == 0 {
				t.Fatalf("%x: dropped %d times, and %d bytes are answered", b, got, out)
			}
		default:
			if got != 1 {
				t.Fatalf("%x (%s): counted %d times; %v", b, explain(b, false), got, w.gw.Counters())
			}
		}
		if m, ok := w.mqtt.next(); ok {
			t.Fatalf("%x: published %s", b, m)
		}
	}
}

// TestHostileClients has a client that is let in send anything: whatever comes of
// it, nobody else notices, and nothing is counted twice.
func TestHostileClients(t *testing.T) {
	all := vectors(t)
	seeds := 100
	if testing.Short() || underRaceDetector() {
		seeds = 8
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 4))
		w := newWorld(t, map[string]string{"topics.predefined": "7=seven", "qos_minus_one.enabled": "true"})
		hostile, honest := peerAddress("a"), peerAddress("b")
		w.receive(honest, append([]byte{12, 4, 4, 1, 0, 0}, "honest"...))
		w.air.queue = nil
		for i := range 500 {
			b := mutate(r, all[r.IntN(len(all))])
			if i%50 == 0 {
				b = append([]byte{9, 4, byte(r.IntN(4)) << 2, 1, 0, 60}, "dev"...)
			}
			w.dropped()
			w.receive(hostile, b)
			if n := w.dropped(); n > 1 {
				t.Fatalf("%x (%s) is counted %d times", b, explain(b, false), n)
			}
			switch r.IntN(20) {
			case 0:
				w.advance(time.Duration(r.IntN(20_000)) * time.Millisecond)
			case 1:
				if err := w.mqtt.publish("a/b", byte(r.IntN(3)), "x", r.IntN(2) == 0); err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range w.air.queue {
				if d.Addr == honest {
					t.Fatalf("%x: %x goes to somebody else", b, d.Data)
				}
			}
			w.air.queue = w.air.queue[:0]
			for _, ok := w.mqtt.next(); ok; _, ok = w.mqtt.next() {
				continue
			}
		}
		w.receive(honest, []byte{2, 0x16})
		if b, ok := w.air.next(honest); !ok || !bytes.Equal(b, []byte{2, 0x17}) {
			t.Fatalf("the honest client gets %x", b)
		}
	}
}

// kindOf is the type of a message that can be read, in an envelope or not; 0 for
// anything else.
func kindOf(b []byte) mqttsn.Type {
	m, n, err := mqttsn.Parse(b, mqttsn.Options{EitherSide: true})
	if e, ok := m.(mqttsn.Encapsulated); ok && err == nil {
		m, n, err = mqttsn.Parse(e.Inner, mqttsn.Options{EitherSide: true})
		b = e.Inner
	}
	switch {
	case m == nil || n != len(b):
		return 0
	case m.Type() == mqttsn.TypeConnect: // even one that is refused may be answered
		return mqttsn.TypeConnect
	case err != nil:
		return 0
	}
	return m.Type()
}

// TestReflection has a forger send in the name of somebody else, who receives
// at most three times as many bytes, however much others publish.
func TestReflection(t *testing.T) {
	seeds := 300
	if testing.Short() || underRaceDetector() {
		seeds = 30
	}
	best := 0.0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			in, out := forge(t, rand.New(rand.NewPCG(uint64(seed), 3)))
			best = max(best, float64(out)/float64(in))
		})
	}
	if best < 0.5 {
		t.Errorf("%.1f bytes for one at best: the forgers do not try hard", best)
	}
}

// TestReflectionOfAFlood is the cheapest that a forger can have: two datagrams, for
// everything that others publish.
func TestReflectionOfAFlood(t *testing.T) {
	for qos := range byte(3) {
		w := newWorld(t, nil)
		in, out := 0, 0
		for _, m := range []mqttsn.Message{
			mqttsn.Connect{ProtocolID: 1, CleanSession: true, ClientID: "victim"},
			mqttsn.Subscribe{QoS: int8(qos), Kind: mqttsn.ShortTopic, Filter: "ab"},
		} {
			b, err := m.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			in += len(b)
			w.receive(peerAddress("v"), b)
		}
		for range 1000 {
			if err := w.mqtt.publish("ab", qos, "x", false); err != nil {
				t.Fatal(err)
			}
			w.advance(time.Second)
		}
		for _, d := range w.air.queue {
			out += len(d.Data)
		}
		if out > 3*in || out < in {
			t.Errorf("QoS %d: %d bytes in, %d out", qos, in, out)
		}
	}
}

// forge plays one forger against one victim.
func forge(t *testing.T, r *rand.Rand) (in, out int) {
	w := newWorld(t, map[string]string{"topics.predefined": "7=seven", "qos_minus_one.enabled": "true"})
	victim := peerAddress("v")
	for i := range 50 {
		if err := w.mqtt.publish(fmt.Sprintf("r/%d", i), byte(r.IntN(3)), strings.Repeat("retained", 1+r.IntN(100)), true); err != nil {
			t.Fatal(err)
		}
	}
	all := vectors(t)
	ids := []string{"one", "two", strings.Repeat("x", 100)}
	quiet := []int{0, 10, 19, 20}[r.IntN(4)]
	var last []byte // what the victim has got
	var told []string
	for i := range 400 {
		b := forgery(r, ids, all, last)
		times := 1 + r.IntN(2)
		if i > 10 && r.IntN(20) < quiet || len(b) > 60 && r.IntN(10) > 0 { // what others publish is to do it
			times = 0
		}
		for range times {
			in += len(b)
			told = append(told, fmt.Sprintf("> %x %s", b, explain(b, false)))
			w.receive(victim, b)
		}
		for range r.IntN(4) {
			topic := []string{"a/b", "ab", "seven", "a/c", "r/1"}[r.IntN(5)]
			if err := w.mqtt.publish(topic, byte(r.IntN(3)), strings.Repeat("y", r.IntN([]int{10, 900}[r.IntN(2)])), r.IntN(5) == 0); err != nil {
				t.Fatal(err)
			}
		}
		if r.IntN(3) == 0 {
			w.advance(time.Duration(r.IntN(30_000)) * time.Millisecond)
		}
		for _, d := range w.air.queue {
			if d.Addr == victim {
				out += len(d.Data)
				last = d.Data
				told = append(told, fmt.Sprintf("< %x %s", d.Data, explain(d.Data, true)))
			}
		}
		w.air.queue = w.air.queue[:0]
		if out > 3*in {
			t.Fatalf("%d bytes in, %d bytes out\n%s", in, out, strings.Join(told[max(0, len(told)-40):], "\n"))
		}
		for _, ok := w.mqtt.next(); ok; _, ok = w.mqtt.next() {
			continue
		}
	}
	return in, out
}

// forgery is a datagram of somebody who does not see what comes back: its
// identifiers are not those of last.
func forgery(r *rand.Rand, ids []string, all [][]byte, last []byte) []byte {
	var m mqttsn.Message
	id := ids[r.IntN(len(ids))]
	filter := []string{"#", "+/+", "a/b", "ab", "r/#"}[r.IntN(5)]
	qos := int8(r.IntN(3))
	wrong := uint16(r.IntN(65536))
	if got, _, err := mqttsn.Parse(last, mqttsn.Options{FromServer: true}); err == nil {
		switch g := got.(type) {
		case mqttsn.Register:
			wrong = g.MsgID + 1
		case mqttsn.Publish:
			wrong = g.MsgID + 1
		}
	}
	switch r.IntN(14) {
	case 0, 1, 2:
		m = mqttsn.Connect{ProtocolID: 1, CleanSession: r.IntN(2) == 0, Will: r.IntN(6) == 0, KeepAlive: uint16(r.IntN(300)), ClientID: id}
	case 3, 4, 5:
		m = mqttsn.Subscribe{QoS: qos, MsgID: uint16(r.IntN(9)), Filter: filter}
	case 6:
		m = mqttsn.Pingreq{ClientID: id}
	case 7:
		m = mqttsn.Pingreq{}
	case 8:
		m = mqttsn.Disconnect{HasDuration: r.IntN(2) == 0, Duration: uint16(r.IntN(100))}
	case 9:
		m = mqttsn.Publish{QoS: qos, Kind: mqttsn.ShortTopic, TopicID: 0x6162, MsgID: uint16(qos) * 7, Payload: []byte("x")}
	case 10:
		m = mqttsn.Puback{TopicID: wrong, MsgID: wrong}
	case 11:
		m = mqttsn.Regack{TopicID: wrong, MsgID: wrong}
	case 12:
		m = mqttsn.Pubrec{MsgID: wrong}
	default:
		b := all[r.IntN(len(all))]
		if k := kindOf(b); k == mqttsn.TypePublish || k == mqttsn.TypePuback || k == mqttsn.TypeRegack { // it might guess right
			return []byte{2, 0x16}
		}
		return b
	}
	b, err := m.Append(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzReceive feeds sequences of datagrams: two bytes say from whom and how long
// the next one is, or that something else happens.
func FuzzReceive(f *testing.F) {
	all := vectors(f)
	for _, b := range all {
		if len(b) < 250 {
			f.Add(append([]byte{0, byte(len(b))}, b...))
		}
	}
	var dialogue []byte
	for _, s := range []string{"0c04040100 3c646576", "081220000161 2f62", "0418001e", "0516646576", "0216", "0218"} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		b[0] = byte(len(b))
		dialogue = append(append(dialogue, 0, byte(len(b))), b...)
		dialogue = append(dialogue, 254, 1)
	}
	f.Add(dialogue)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t, map[string]string{"topics.predefined": "7=seven", "qos_minus_one.enabled": "true", "qos_minus_one.named": "true"})
		datagrams := 0
		for len(b) >= 2 && datagrams < 100 {
			who, n := b[0], int(b[1])
			b = b[2:]
			switch who {
			case 255:
				w.advance(time.Duration(n) * time.Second)
			case 254:
				_ = w.mqtt.publish([]string{"a/b", "ab", "seven"}[n%3], byte(n)%3, "x", n > 128)
			case 253:
				w.restart()
			default:
				n = min(n, len(b))
				w.receive(peerAddress(string(rune('a'+who%4))), b[:n])
				b = b[n:]
				datagrams++
			}
			w.air.queue = w.air.queue[:0]
			for _, ok := w.mqtt.next(); ok; _, ok = w.mqtt.next() {
				continue
			}
		}
		if w.clients() > datagrams {
			t.Errorf("%d clients of %d datagrams", w.clients(), datagrams)
		}
		w.advance(25 * time.Hour)
		if w.clients() > 0 {
			t.Errorf("%d clients are left, a day after the last word", w.clients())
		}
	})
}
