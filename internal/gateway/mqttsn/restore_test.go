package mqttsn

import (
	"net/netip"
	"testing"
)

func TestStoredClientsComeBackAsTheyWere(t *testing.T) {
	for _, s := range []stored{
		{},
		{
			asleep: true, clean: true, will: true, generated: true, secure: true, keepAlive: 60, sleep: 65535, base: 7,
			addr: netip.MustParseAddrPort("[2001:db8::1%eth0]:1884"), node: node{true, "\x00\xff"},
			listener: "mqttsn://:1884", method: "psk", username: "dev",
		},
		{node: node{forwarded: true}, addr: netip.MustParseAddrPort("192.0.2.1:1")},
	} {
		got, err := decodeStored(s.encode())
		if err != nil || got != s {
			t.Errorf("%+v: %+v, %v", s, got, err)
		}
	}
}

func FuzzDecodeStored(f *testing.F) {
	f.Add((&stored{listener: "a", addr: netip.MustParseAddrPort("192.0.2.1:1")}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeStored(b)
		if err != nil {
			return
		}
		if again, err := decodeStored(s.encode()); err != nil || again != s {
			t.Errorf("%+v: %+v, %v", s, again, err)
		}
	})
}

func TestStoredWillsComeBackAsTheyWere(t *testing.T) {
	for _, want := range []*testament{{topic: "a"}, {topic: "a/b", qos: 2, retain: true, payload: []byte("x")}} {
		got := decodeTestament(want.encode())
		if got == nil || got.topic != want.topic || got.qos != want.qos || got.retain != want.retain || string(got.payload) != string(want.payload) {
			t.Errorf("%+v: %+v", want, got)
		}
	}
	for _, b := range [][]byte{nil, {1}, {0, 0, 9, 'a'}} {
		if got := decodeTestament(b); got != nil {
			t.Errorf("%x: %+v", b, got)
		}
	}
}
