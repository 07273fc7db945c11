package mqttsn

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
)

// lateListener has an interface that is not there at first, and then loopback.
type lateListener struct {
	transport.PacketListener
	mu    sync.Mutex
	fails int
}

func (l *lateListener) ListenGroup(group netip.AddrPort, names []string) ([]*transport.Group, error) {
	if !slices.Equal(names, []string{"late0"}) {
		return nil, errors.New("not the interface of the settings")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails--; l.fails >= 0 {
		return nil, errors.New("no such interface: late0")
	}
	return []*transport.Group{}, nil
}

func TestGroupsWaitForTheirInterface(t *testing.T) {
	w := newWorld(t, nil)
	var log gatewaytest.Journal
	w.gw.log = slog.New(slog.NewTextHandler(&log, nil))
	terms := *w.gw.terms.Load()
	terms.Multicast.Interfaces = []string{"late0"}
	terms.groups = []netip.AddrPort{netip.MustParseAddrPort("225.1.1.1:18830")}
	w.gw.terms.Store(&terms)
	sock, err := transport.Listen(t.Context(), "mqttsn://127.0.0.1:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	l := &lateListener{PacketListener: sock.(transport.PacketListener), fails: 3}
	leave := w.gw.join(l, w.port, time.Millisecond)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "multicast group joined"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not joined: %s", log.String())
		}
	}
	leave()
	if got := strings.Count(log.String(), "it is tried again"); got != 1 {
		t.Errorf("%d warnings: %s", got, log.String())
	}
}
