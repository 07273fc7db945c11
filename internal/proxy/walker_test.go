package proxy

import (
	"bytes"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// walked feeds b in pieces, whose lengths are in cuts, and returns what goes on and
// the sizes of the packets that were seen.
func walked(w *walker, b, cuts []byte) (out []byte, sizes []int, err error) {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if i < len(cuts) {
			n = min(n, int(cuts[i])+1)
		}
		early, k, err := w.walk(b[:n], func(_ mqtt.Header, size int, _ []byte) { sizes = append(sizes, size) })
		out = append(append(out, early...), b[:k]...)
		if err != nil {
			return out, sizes, err
		}
		b = b[n:]
	}
	return out, sizes, nil
}

func seeds(f *testing.F) {
	var all []byte
	for _, p := range []mqtt.Packet{
		mqtt.Publish{Topic: []byte("a/b"), Payload: bytes.Repeat([]byte("x"), 300)},
		mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 7},
		mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "#"}}},
		mqtt.Pingreq{},
		mqtt.Disconnect{},
	} {
		all, _ = p.Append(all, mqtt.V5)
	}
	f.Add(all, []byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(all, []byte{2, 100, 1})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, []byte{1, 1, 1})
	f.Add([]byte{0x30, 0x80, 0x80, 0x00, 0xc0, 0x00}, []byte{0, 0})
}

// FuzzWalkerSeesTheSameInAnyPieces compares pieces with the whole: the same packets
// are seen, the same bytes go on, and the same error comes.
func FuzzWalkerSeesTheSameInAnyPieces(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		one := walker{dir: ToServer, version: mqtt.V311, limit: 1 << 20}
		many := one
		out, sizes, err := walked(&one, b, nil)
		got, gotSizes, gotErr := walked(&many, b, cuts)
		if !bytes.Equal(out, got) || (err == nil) != (gotErr == nil) || len(sizes) != len(gotSizes) {
			t.Errorf("%x in pieces: %x, %v, %v; as a whole: %x, %v, %v", b, got, gotSizes, gotErr, out, sizes, err)
		}
		if err == nil && one.whole() != many.whole() {
			t.Errorf("%x: whole %v, in pieces %v", b, one.whole(), many.whole())
		}
		if err == nil && len(out)+one.have != len(b) {
			t.Errorf("%d of %d bytes go on, %d are held back", len(out), len(b), one.have)
		}
	})
}

func TestWalkerKeepsNothingButHeaders(t *testing.T) {
	w := walker{dir: ToServer, version: mqtt.V5}
	p, err := mqtt.Publish{Topic: []byte("a"), Payload: make([]byte, 1000)}.Append(nil, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	if early, n, err := w.walk(p[:500], func(mqtt.Header, int, []byte) {}); early != nil || n != 500 || err != nil {
		t.Errorf("%x, %d, %v", early, n, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		w := walker{dir: ToServer, version: mqtt.V5}
		_, _, _ = w.walk(p, func(mqtt.Header, int, []byte) {})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRendezvousMovesOnlyTheShareOfWhatIsNew(t *testing.T) {
	brokers := []string{"mqtt://a:1883", "mqtt://b:1883", "mqtt://c:1883", "mqtt://d:1883"}
	home := func(key string, among []string) string {
		best, most := "", uint64(0)
		for _, b := range among {
			if s := rendezvous(b, key); s >= most {
				best, most = b, s
			}
		}
		return best
	}
	moved := 0
	const keys = 10_000
	count := map[string]int{}
	for i := range keys {
		key := "client-" + string(rune('a'+i%26)) + string(rune('0'+i/26%10)) + string(rune('A'+i/260))
		before, after := home(key, brokers[:3]), home(key, brokers)
		count[after]++
		if before != after {
			moved++
			if after != brokers[3] {
				t.Fatalf("%s moves from %s to %s", key, before, after)
			}
		}
	}
	for b, n := range count {
		if n < keys/5 || n > keys*3/10 {
			t.Errorf("%s has %d of %d", b, n, keys)
		}
	}
	if moved < keys/5 || moved > keys*3/10 {
		t.Errorf("%d of %d move", moved, keys)
	}
}
