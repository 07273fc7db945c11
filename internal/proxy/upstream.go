package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// Upstream is a broker.
type Upstream struct {
	URL string
	TLS *transport.ClientTLS // nil: the zero value
	// Local are addresses to dial from, in turn. One address has some 28,000 to 64,000
	// ports towards one broker. nil: the system's choice.
	Local []string
	Drain bool // no new connections
}

// Validate returns what is wrong with u. It reads no files.
func (u *Upstream) Validate() error {
	e, err := transport.Parse(u.URL, Schemes())
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if e.User != nil {
		return errors.New("url: a user in the URL of a broker means nothing: clients log in themselves")
	}
	if e.Scheme.Network != "unix" && (e.Host == "" || e.Port == 0) {
		return fmt.Errorf("url: %s: host and port are needed", e)
	}
	for i, a := range u.Local {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("local_address[%d]: %q is no IP address", i, a)
		}
	}
	return nil
}

// Balance is how one of several brokers is chosen.
type Balance uint8

// Values of Balance.
const (
	// BalanceHash sends a client identifier, in transparent mode a client address,
	// always to the same broker, and to the same next one while that is away; a broker
	// that is added or removed moves only its share.
	BalanceHash Balance = iota
	// BalanceLeast sends it to the broker with the fewest connections.
	BalanceLeast
)

var balanceNames = [...]string{"hash", "least"}

func (b Balance) String() string { return balanceNames[b] }

// UnmarshalText reads the name.
func (b *Balance) UnmarshalText(text []byte) error {
	return named((*uint8)(b), balanceNames[:], text)
}

// penalty is how long a broker that could not be dialed comes last.
const penalty = 2 * time.Second

// upstream is a broker in use.
type upstream struct {
	Upstream
	endpoint transport.Endpoint
	name     string
	tls      atomic.Pointer[transport.ClientTLS]
	turn     atomic.Uint32 // of Local

	open    atomic.Int64
	dialed  atomic.Uint64
	failed  atomic.Uint64
	down    atomic.Bool  // says the health check
	drain   atomic.Bool  // gets no new connections
	avoided atomic.Int64 // until then, in Unix ns
}

func newUpstream(u Upstream, schemes []transport.Scheme) (*upstream, error) {
	e, err := transport.Parse(u.URL, schemes)
	if err != nil {
		return nil, err
	}
	up := &upstream{Upstream: u, endpoint: e, name: e.String()}
	up.drain.Store(u.Drain)
	return up, up.reload()
}

// reload reads the certificate files again; on error the present ones stay.
func (u *upstream) reload() error {
	if !u.endpoint.Scheme.TLS {
		return nil
	}
	t := u.TLS
	if t == nil {
		t = &transport.ClientTLS{}
	}
	loaded, err := t.Load()
	if err != nil {
		return fmt.Errorf("%s: %w", u.name, err)
	}
	u.tls.Store(loaded)
	return nil
}

// dial connects within the time-out, from the next local address that has a port
// left.
func (u *upstream) dial(ctx context.Context, timeout time.Duration, preface []byte, sub string) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cfg := transport.DialConfig{Timeout: timeout, TLS: u.tls.Load(), Preface: preface, KeepAlive: transport.DefaultKeepAlive}
	if sub != "" {
		cfg.Subprotocols = []string{sub}
	}
	u.dialed.Add(1)
	var err error
	for range max(1, len(u.Local)) {
		if len(u.Local) > 0 {
			cfg.LocalAddress = u.Local[int(u.turn.Add(1)-1)%len(u.Local)]
		}
		var nc transport.Conn
		if nc, err = transport.DialEndpoint(ctx, u.endpoint, cfg); err == nil {
			u.avoided.Store(0)
			return nc, nil
		}
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			break
		}
	}
	u.failed.Add(1)
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		u.avoided.Store(time.Now().Add(penalty).UnixNano())
	}
	return nil, err
}

// pool is all brokers.
type pool struct {
	all     []*upstream
	balance Balance
}

func newPool(cfg *Config) (*pool, error) {
	p := &pool{balance: cfg.Balance}
	schemes := Schemes()
	if cfg.Transparent {
		schemes = opaque()
	}
	for _, u := range cfg.Upstreams {
		up, err := newUpstream(u, schemes)
		if err != nil {
			return nil, err
		}
		p.all = append(p.all, up)
	}
	return p, nil
}

// choice is a broker as somebody with a certain key sees it.
type choice struct {
	*upstream
	rank  int // 0: in use, 1: could not be dialed a moment ago, 2: down
	open  int64
	score uint64
}

// order returns the brokers to try for key, the best first: those that are down
// come last, in case it is not true, and those that are drained not at all.
func (p *pool) order(key string) []*upstream {
	if len(p.all) == 1 && !p.all[0].drain.Load() {
		return p.all
	}
	now := time.Now().UnixNano()
	list := make([]choice, 0, len(p.all))
	for _, u := range p.all {
		if u.drain.Load() {
			continue
		}
		c := choice{upstream: u, score: rendezvous(u.name, key)}
		switch {
		case u.down.Load():
			c.rank = 2
		case u.avoided.Load() > now:
			c.rank = 1
		}
		if p.balance == BalanceLeast {
			c.open = u.open.Load()
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b choice) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.open, b.open), cmp.Compare(b.score, a.score))
	})
	all := make([]*upstream, len(list))
	for i, c := range list {
		all[i] = c.upstream
	}
	return all
}

// rendezvous is the weight of a broker for a key (highest random weight hashing):
// FNV-1a over both, then mixed, since FNV's upper bits depend little on the last
// bytes. It is the same in every process.
func rendezvous(broker, key string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{broker, "\x00", key} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
