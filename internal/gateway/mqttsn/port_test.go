package mqttsn

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/iotctl/iotctl/internal/transport"
)

// busy is a socket whose kernel takes a batch only when told to.
type busy struct {
	transport.PacketListener
	take chan struct{}
	sent int
}

// WriteBatch implements transport.PacketListener.
func (b *busy) WriteBatch(ds []transport.Datagram) error {
	<-b.take
	b.sent += len(ds)
	return nil
}

func TestWhoFlushesWaitsWhileMuchIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := netip.MustParseAddrPort("192.0.2.1:1884")
		g := &Gateway{}
		l := &busy{take: make(chan struct{})}
		s := &socket{g: g}
		s.open(l)
		flush := func(n int) (done chan struct{}) {
			for range n {
				s.send(to, nil, []byte{2, 0x17})
			}
			done = make(chan struct{})
			go func() {
				defer close(done)
				s.flush()
			}()
			synctest.Wait()
			return done
		}
		waits := func(done chan struct{}) bool {
			select {
			case <-done:
				return false
			default:
				return true
			}
		}
		first := flush(1)
		few, many := flush(longQueue-1), flush(1)
		if waits(few) || !waits(many) || !waits(first) {
			t.Errorf("few: waits %v; many: waits %v; first: waits %v", waits(few), waits(many), waits(first))
		}
		l.take <- struct{}{} // the first one
		synctest.Wait()
		if waits(many) {
			t.Error("it waits for a queue that is empty")
		}
		close(l.take)
		<-first
		if l.sent != longQueue+1 || g.counts.unsent.Load() > 0 {
			t.Errorf("%d sent, %d not", l.sent, g.counts.unsent.Load())
		}
	})
}
