package proxy

import (
	"errors"
	"slices"
	"strings"
)

// BrokerStatus is how a broker is used.
type BrokerStatus struct {
	URL         string `json:"url"`
	Connections int64  `json:"connections"`
	Dialed      uint64 `json:"dialed"`
	Failed      uint64 `json:"failed"`
	Down        bool   `json:"down"`    // says the health check
	Drained     bool   `json:"drained"` // gets no new connections
}

// Brokers lists the brokers in the order of Config. It may be called from any
// goroutine.
func (e *Engine) Brokers() []BrokerStatus {
	all := []BrokerStatus{}
	for _, u := range e.pool.all {
		all = append(all, BrokerStatus{
			URL: u.name, Connections: u.open.Load(), Dialed: u.dialed.Load(), Failed: u.failed.Load(),
			Down: u.down.Load(), Drained: u.drain.Load(),
		})
	}
	return all
}

// ErrNoBroker is what Drain returns for a name that no broker has.
var ErrNoBroker = errors.New("no broker of that name")

// Drain has a broker, named by its URL or host:port, get no new connections, or some
// again. Those that it has go on. It may be called from any goroutine.
func (e *Engine) Drain(name string, on bool) error {
	i := slices.IndexFunc(e.pool.all, func(u *upstream) bool {
		_, address, _ := strings.Cut(u.name, "://")
		return u.name == name || u.URL == name || address == name
	})
	if i < 0 {
		return ErrNoBroker
	}
	e.pool.all[i].drain.Store(on)
	return nil
}
