package mqttsn

import (
	"net/netip"
	"testing"
	"time"
)

func newRates(perSource int) (*rates, time.Time) {
	now := time.Unix(1_700_000_000, 0)
	t := &terms{Config: Config{UnknownReplyRate: perSource}.withDefaults()}
	r := &rates{}
	r.init(t, now)
	return r, now
}

// answers is how many of n questions from the addresses, in turn, are answered.
func answers(r *rates, now time.Time, n int, from func(i int) netip.Addr) (answered int) {
	for i := range n {
		if r.answer(from(i), now) {
			answered++
		}
	}
	return answered
}

func TestStrangersAreAnsweredWithinRates(t *testing.T) {
	one := func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
	network := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	network6 := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 7: byte(i), 15: byte(i >> 8)})
	}
	all := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}) }
	for _, c := range []struct {
		name     string
		from     func(int) netip.Addr
		n        int
		min, max int
	}{
		{"one address", one, 100, 5, 5},
		{"one network", network, 1000, 40, 50}, // some meet in one place
		{"one network of IPv6", network6, 1000, 40, 50},
		{"everybody", all, 20_000, 4500, 5000},
	} {
		r, now := newRates(5)
		if got := answers(r, now, c.n, c.from); got < c.min || got > c.max {
			t.Errorf("%s: %d answers, want %d to %d", c.name, got, c.min, c.max)
		}
	}
}

func TestRatesRecover(t *testing.T) {
	r, now := newRates(10)
	one := func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
	if got := answers(r, now, 100, one); got != 10 {
		t.Errorf("%d answers at first", got)
	}
	if got := answers(r, now.Add(500*time.Millisecond), 100, one); got != 5 {
		t.Errorf("%d answers after half a second", got)
	}
	if got := answers(r, now.Add(time.Hour), 100, one); got != 10 {
		t.Errorf("%d answers after an hour", got)
	}
}
