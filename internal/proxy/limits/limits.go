package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/transport"
)

// maxAddresses bounds how many addresses are known at a time. Those without
// connections that have not come for the longest are forgotten first.
const maxAddresses = 100_000

// Factory holds connections to limits.
type Factory struct {
	c   Config
	all *transport.Bucket // of CONNECT packets

	mu        sync.Mutex
	addresses map[netip.Addr]*address
}

// address is what is known of one. IPv6 addresses count by their first 64 bits,
// which are those of one customer.
type address struct {
	connections int
	connects    *transport.Bucket
	seen        time.Time
}

// New makes a factory; nil if c limits nothing.
func New(c Config) (*Factory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.ConnectionsPerAddress == 0 && c.ConnectRate.Rate.Count == 0 && c.ConnectRatePerAddress.Rate.Count == 0 &&
		c.Publish.none() && c.Deliver.none() {
		return nil, nil
	}
	return &Factory{
		c: c, all: transport.NewBucket(c.ConnectRate.Rate, time.Now()),
		addresses: make(map[netip.Addr]*address),
	}, nil
}

func keyOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// Open implements proxy.Factory.
func (f *Factory) Open(c *proxy.Conn) (proxy.Stage, error) {
	return newStage(f, c), nil
}

// admit counts the connection of s, or says why it is one too many.
func (f *Factory) admit(s *stage) error {
	now := time.Now()
	if a := s.conn.Client.Remote.Addr(); a.IsValid() && f.perAddress() {
		if err := f.enter(s, keyOf(a), now); err != nil {
			s.conn.Metrics.Refused("limits", "connections-per-address")
			return err
		}
	}
	return nil
}

func (s *stage) tooOften(limit string) error {
	s.conn.Metrics.Refused("limits", limit)
	return &proxy.End{Why: "limits", Err: errors.New(limit), Client: mqtt.ConnectionRateExceeded}
}

func (f *Factory) perAddress() bool {
	return f.c.ConnectionsPerAddress > 0 || f.c.ConnectRatePerAddress.Rate.Count > 0
}

// enter counts a connection of an address.
func (f *Factory) enter(s *stage, key netip.Addr, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.addresses[key]
	if a == nil {
		if len(f.addresses) >= maxAddresses {
			f.forget()
		}
		a = &address{connects: transport.NewBucket(f.c.ConnectRatePerAddress.Rate, now)}
		f.addresses[key] = a
	}
	a.seen = now
	if most := f.c.ConnectionsPerAddress; most > 0 && a.connections >= most {
		return &proxy.End{
			Why: "limits", Err: fmt.Errorf("%v has %d connections already", key, most),
			Client: mqtt.QuotaExceeded,
		}
	}
	a.connections++
	s.key, s.connects = key, a.connects
	return nil
}

// forget makes room: of a few addresses without connections the oldest goes.
func (f *Factory) forget() {
	var oldest netip.Addr
	var at time.Time
	looked := 0
	for k, a := range f.addresses {
		if looked++; looked > 64 && oldest.IsValid() || looked > 4096 {
			break
		}
		if a.connections == 0 && (at.IsZero() || a.seen.Before(at)) {
			oldest, at = k, a.seen
		}
	}
	delete(f.addresses, oldest)
}

func (f *Factory) leave(key netip.Addr) {
	if !key.IsValid() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.addresses[key]
	if a == nil {
		return
	}
	a.connections--
	if a.connections == 0 && a.connects == nil {
		delete(f.addresses, key)
	}
}
