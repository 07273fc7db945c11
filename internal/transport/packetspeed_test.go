package transport

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestPacketsDoNotAllocate(t *testing.T) {
	for _, tc := range []struct{ url, host string }{{"mqttsn://127.0.0.1:0", "127.0.0.1"}, {"mqttsn://:0", "127.0.0.1"}, {"mqttsn://:0", "::1"}} {
		bothWays(t, func(t *testing.T, single bool) {
			l := packets(t, tc.url, ListenConfig{}, single)
			c := packets(t, "mqttsn://"+net.JoinHostPort(tc.host, "0"), ListenConfig{}, single)
			there := netip.AddrPortFrom(netip.MustParseAddr(tc.host), l.Addr().(*net.UDPAddr).AddrPort().Port())
			out, in := NewDatagrams(100, 20), NewDatagrams(100, 20)
			for i := range out {
				out[i].Addr, out[i].Data = there, append(out[i].Data, "hello"...)
			}
			n := testing.AllocsPerRun(100, func() {
				if err := c.WriteBatch(out); err != nil {
					t.Fatal(err)
				}
				for got := 0; got < len(out); {
					k, err := l.ReadBatch(in)
					if err != nil {
						t.Fatal(err)
					}
					got += k
				}
			})
			if n > 10 { // for 200 datagrams; a sync.Pool forgets something now and then
				t.Errorf("%s from %s: %.0f allocations", tc.url, tc.host, n)
			}
		})
	}
}

// BenchmarkPackets sends and reads 64 datagrams at a time, of 40 bytes, in one
// goroutine, so that none is lost. The last one compares both ways in one run, by the
// fastest exchange of each.
func BenchmarkPackets(b *testing.B) {
	const batch = 64
	exchange := func(b *testing.B, single bool) func() {
		l, c := packets(b, "mqttsn://127.0.0.1:0", ListenConfig{}, single), packets(b, "mqttsn://127.0.0.1:0", ListenConfig{}, single)
		out, in := NewDatagrams(batch, 40), NewDatagrams(batch, 100)
		for i := range out {
			out[i].Addr, out[i].Data = l.Addr().(*net.UDPAddr).AddrPort(), out[i].Data[:40]
		}
		return func() {
			if err := c.WriteBatch(out); err != nil {
				b.Fatal(err)
			}
			for got := 0; got < batch; {
				n, err := l.ReadBatch(in)
				if err != nil {
					b.Fatal(err)
				}
				got += n
			}
		}
	}
	for _, way := range []struct {
		name   string
		single bool
	}{{"many", false}, {"one", true}} {
		b.Run("calls="+way.name, func(b *testing.B) {
			step := exchange(b, way.single)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			b.ReportMetric(batch*float64(b.N)/b.Elapsed().Seconds(), "datagrams/s")
		})
	}
	b.Run("ratio", func(b *testing.B) {
		many, one := exchange(b, false), exchange(b, true)
		best := [2]time.Duration{time.Hour, time.Hour} // others may be using the machine
		for b.Loop() {
			begin := time.Now()
			many()
			middle := time.Now()
			one()
			best[0], best[1] = min(best[0], middle.Sub(begin)), min(best[1], time.Since(middle))
		}
		b.ReportMetric(float64(best[1])/float64(best[0]), "one/many")
		b.ReportMetric(batch/best[0].Seconds(), "datagrams/s")
	})
}
