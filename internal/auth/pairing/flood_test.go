package pairing

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
)

func TestAFloodOfRequestsIsBounded(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	b := open(t, Config{})
	known := secret("known", "s")
	known.Remote = from("203.0.113.1:1")
	b.approve(b.waits(known), Approval{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		c := secret(fmt.Sprintf("device-%d", i), "s")
		c.Remote = from(fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255))
		_, _, _ = b.Authenticate(t.Context(), c)
		if i%1000 == 0 {
			b.clock.advance(time.Second)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := len(b.desk.pending); got > 1000 {
		t.Errorf("%d requests", got)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d bytes more", grown)
	}
	if lines := strings.Count(b.log.String(), "turned away"); lines > 2+n/60_000 {
		t.Errorf("%d lines about those that are turned away", lines)
	}
	b.want(known, "allow device:known")
	b.want(secret("one more", "s"), "full")
	if got := b.List(0, 1<<30); len(got) > 1001 {
		t.Errorf("%d in the list", len(got))
	}
}

func TestRequestsOfOneAddressAreBounded(t *testing.T) {
	b := open(t, Config{})
	count := func(addr func(i int) string) int {
		n := 0
		for i := range 40 {
			c := secret(fmt.Sprintf("%s-%d", addr(0), i), "s")
			c.Remote = from(addr(i))
			if IsCode(b.try(c)) {
				n++
			}
		}
		return n
	}
	if n := count(func(i int) string { return fmt.Sprintf("192.0.2.1:%d", i+1) }); n != 10 {
		t.Errorf("%d from one address", n)
	}
	if n := count(func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i+1) }); n != 10 {
		t.Errorf("%d from one network of IPv6", n)
	}
	if n := count(func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i+1) }); n != 40 {
		t.Errorf("%d from many networks", n)
	}
	for _, e := range b.List(0, 1000) {
		if strings.HasPrefix(e.Client, "192.") {
			if _, err := b.Reject(e.Code); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := secret("another", "s")
	b.waits(c) // what has been decided does not count
	c.Remote = from("198.51.100.1:1")
	b.waits(c) // a request that moves counts where it began
	b.clock.advance(time.Hour)
	b.List(0, 1)
	if len(b.desk.sources)+len(b.desk.pending)+b.desk.waiting.Len() != 0 {
		t.Errorf("left behind: %v", b.desk.sources)
	}
}

func TestCodesAreUnique(t *testing.T) {
	b := open(t, Config{MaxPending: maxMaxPending, MaxPerAddress: maxMaxPending})
	seen := map[string]bool{}
	for i := range maxMaxPending {
		code := b.waits(secret(fmt.Sprint(i), "s"))
		if seen[code] {
			t.Fatalf("%s twice", code)
		}
		seen[code] = true
	}
	b.clock.advance(time.Hour - time.Second) // an operator may still have them on the screen
	for i := range 1000 {
		if code := b.waits(secret(fmt.Sprint("later", i), "s")); seen[code] {
			t.Fatalf("%s is somebody else's", code)
		}
	}
	b.clock.advance(10*time.Minute + time.Second)
	b.List(0, 1)
	b.clock.advance(time.Hour)
	b.List(0, 1)
	if len(b.desk.codes)+len(b.desk.retired) != 0 {
		t.Errorf("%d codes are left", len(b.desk.codes))
	}
	taken := func(code string) bool { return len(code) < len("00-00-00") }
	if code := newCode(taken); !IsCode(code) || len(code) != len("00-00-00") {
		t.Error(code)
	}
}

func TestRejectedDevicesAreBounded(t *testing.T) {
	b := open(t, Config{})
	reject := func(c auth.Credentials) {
		t.Helper()
		if _, err := b.Reject(b.waits(c)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		reject(secret("one", fmt.Sprint(i)))
	}
	if n := len(b.desk.known[device{"field", "one"}]); n != maxRejectedOfOne {
		t.Errorf("%d of one", n)
	}
	b.want(secret("one", "19"), "deny")
	b.waits(secret("one", "0"))
	for i := range maxRejected + 20 {
		reject(secret(fmt.Sprint(i), "s"))
	}
	if n := b.desk.rejected.Len(); n != maxRejected {
		t.Errorf("%d in all", n)
	}
}

func TestOneLinePerDeviceAndMinute(t *testing.T) {
	b := open(t, Config{})
	c := secret("evil\n\u202e", "s")
	for range 300 { // five minutes
		b.waits(c)
		b.clock.advance(time.Second)
	}
	if n := strings.Count(b.log.String(), "waits for approval"); n != 5 {
		t.Errorf("%d lines\n%s", n, b.log)
	}
	if !strings.Contains(b.log.String(), "more_before=59") || strings.ContainsRune(b.log.String(), '\u202e') {
		t.Error(b.log)
	}
	b.log.Reset()
	for range 120 {
		b.want(bare("x", "192.0.2.1:1"), "deny")
		b.clock.advance(time.Second)
	}
	if n := strings.Count(b.log.String(), "cannot ask"); n != 2 {
		t.Errorf("%d lines\n%s", n, b.log)
	}
}

func TestAnOpenDoorDoesNotFillTheLog(t *testing.T) {
	b := open(t, Config{})
	b.approve(b.waits(secret("pump-7", "right")), Approval{})
	if err := b.Open(time.Minute, 1, ""); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		b.waits(secret("pump-7", "wrong"))
	}
	if n := strings.Count(b.log.String(), "although the door is open"); n != 1 {
		t.Errorf("%d lines within a minute", n)
	}
	b.want(secret("pump-8", "s"), "allow device:pump-8")
}

func TestManyAtATime(t *testing.T) {
	b := open(t, Config{MaxPerAddress: 1000})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				c := secret(fmt.Sprint(i%40), fmt.Sprint(g))
				_, _, _ = b.Authenticate(t.Context(), c)
			}
		})
		wg.Go(func() {
			for range 100 {
				for _, e := range b.List(0, 5) {
					switch g {
					case 0:
						_, _ = b.Approve(e.Code, Approval{Name: "x", For: time.Minute})
					case 1:
						_, _ = b.Reject(e.Code)
					case 2:
						_, _ = b.Forget(e.Code)
					default:
						_ = b.Open(time.Minute, 3, "")
					}
				}
				b.Revoked(b.clock.now())
				b.clock.advance(time.Second)
			}
		})
	}
	wg.Wait()
	d := b.desk
	n := len(d.pending)
	for _, es := range d.known {
		n += len(es)
	}
	if n != len(d.codes)-len(d.retired) || len(d.pending) != d.waiting.Len() || d.approved+d.rejected.Len()+len(d.pending) != n {
		t.Errorf("%d devices, %d codes, %d pending, %d waiting, %d approved, %d rejected",
			n, len(d.codes), len(d.pending), d.waiting.Len(), d.approved, d.rejected.Len())
	}
}

func BenchmarkStranger(b *testing.B) {
	a, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	c := secret("x", "some secret")
	for i := range 1000 {
		c.ClientID, c.Remote = fmt.Sprint(i), from(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1).String())
		_, _, _ = a.Authenticate(b.Context(), c)
	}
	c.ClientID = "turned away"
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = a.Authenticate(b.Context(), c)
	}
}
