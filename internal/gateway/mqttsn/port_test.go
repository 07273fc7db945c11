package mqttsn

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

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

func TestReloadChangesHowManyClientsMayCome(t *testing.T) {
	cfg := transport.ListenConfig{Schemes: transport.MQTTSNSchemes(), MaxConnections: 1}
	l, err := transport.Listen(t.Context(), "mqttsn://127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := newWorld(t, nil).gw.open(l.(transport.PacketListener))
	for _, c := range []struct {
		most int
		full bool
	}{{1, true}, {2, false}, {-1, false}, {1, true}} {
		cfg.MaxConnections = c.most
		if err := l.Apply(cfg); err != nil {
			t.Fatal(err)
		}
		p.crowd.n.Store(1)
		if p.crowd.full() != c.full {
			t.Errorf("one client, max_connections %d: full: %v", c.most, !c.full)
		}
	}
}

// scripted is an association with datagrams to come, and then its end.
type scripted struct {
	transport.Conn
	come    [][]byte
	charged int
}

func (*scripted) Handshake(context.Context) error { return nil }
func (*scripted) Info() transport.Info            { return transport.Info{Remote: peerAddress("a")} }
func (*scripted) SetReadDeadline(time.Time) error { return nil }
func (*scripted) Close() error                    { return nil }
func (*scripted) Write(b []byte) (int, error)     { return len(b), nil }
func (s *scripted) ChargeMessages(n int)          { s.charged += n }

func (s *scripted) ReadWith(borrow func() []byte) ([]byte, int, error) {
	if len(s.come) == 0 {
		return nil, 0, io.EOF
	}
	b := borrow()
	n := copy(b, s.come[0])
	s.come = s.come[1:]
	return b, n, nil
}

func TestDatagramsOfAnAssociationCountForItsRate(t *testing.T) {
	s := &scripted{come: [][]byte{{2, 0x16}, {2, 0x16}, {0}}}
	newWorld(t, nil).gw.serveAssociation(t.Context(), s, "test")
	if s.charged != 3 {
		t.Errorf("%d messages are charged", s.charged)
	}
}
