package control

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/proxy"
)

// Connections knows who is connected. It is a proxy.Factory, whose stages count.
type Connections struct {
	mu    sync.Mutex
	open  map[uint64]*stage
	total uint64

	packets, bytes [2]atomic.Uint64
}

// NewConnections makes one for a proxy.
func NewConnections() *Connections { return &Connections{open: map[uint64]*stage{}} }

// Status is one connection.
type Status struct {
	Number    uint64    `json:"number"`
	ClientID  string    `json:"client"`
	Username  string    `json:"user,omitempty"`
	Address   string    `json:"address"`
	Version   string    `json:"version"`
	Broker    string    `json:"broker,omitempty"`
	Began     time.Time `json:"began"`
	KeepAlive float64   `json:"keep_alive"` // seconds
	Sent      Traffic   `json:"c2s"`
	Received  Traffic   `json:"s2c"`
}

// Traffic is what has gone in a direction.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counters are sums over all connections.
type Counters struct {
	Open     int     `json:"open"`
	Total    uint64  `json:"total"`
	Sent     Traffic `json:"c2s"`
	Received Traffic `json:"s2c"`
}

// List lists the open connections, oldest first.
func (c *Connections) List() []Status {
	c.mu.Lock()
	all := make([]*stage, 0, len(c.open))
	for _, s := range c.open {
		all = append(all, s)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *stage) int { return cmp.Compare(a.conn.Number, b.conn.Number) })
	list := []Status{}
	for _, s := range all {
		list = append(list, s.status())
	}
	return list
}

// Counters sums up.
func (c *Connections) Counters() Counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counters{Open: len(c.open), Total: c.total, Sent: c.traffic(proxy.ToServer), Received: c.traffic(proxy.ToClient)}
}

func (c *Connections) traffic(d proxy.Direction) Traffic {
	return Traffic{c.packets[d].Load(), c.bytes[d].Load()}
}

// End ends a connection; false if there is none of that number.
func (c *Connections) End(number uint64, e *proxy.End) bool {
	c.mu.Lock()
	s := c.open[number]
	c.mu.Unlock()
	if s == nil {
		return false
	}
	s.conn.End(e)
	return true
}

// Open implements proxy.Factory.
func (c *Connections) Open(conn *proxy.Conn) (proxy.Stage, error) {
	s := &stage{all: c, conn: conn}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn.Number] = s
	c.total++
	return s, nil
}

type stage struct {
	all            *Connections
	conn           *proxy.Conn
	packets, bytes [2]atomic.Uint64
}

// Handle implements proxy.Stage.
func (s *stage) Handle(_ context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	d, n := f.Direction, uint64(len(f.Bytes))
	s.packets[d].Add(1)
	s.bytes[d].Add(n)
	s.all.packets[d].Add(1)
	s.all.bytes[d].Add(n)
	return emit(f)
}

// Ended implements proxy.Ender.
func (s *stage) Ended(*proxy.End) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	delete(s.all.open, s.conn.Number)
}

func (s *stage) status() Status {
	c := s.conn
	traffic := func(d proxy.Direction) Traffic { return Traffic{s.packets[d].Load(), s.bytes[d].Load()} }
	return Status{
		Number: c.Number, ClientID: c.ClientID, Username: c.Username, Address: c.Client.Peer(), Version: c.Version.String(),
		Broker: c.Server(), Began: c.Began, KeepAlive: c.KeepAlive.Seconds(),
		Sent: traffic(proxy.ToServer), Received: traffic(proxy.ToClient),
	}
}
