package proxy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
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
	u := e.broker(name)
	if u == nil {
		return ErrNoBroker
	}
	u.drain.Store(on)
	return nil
}

// Vacate ends all connections to that broker. Clients of 5.0 are told to use another
// server; brokers are told nothing. It may be called from any goroutine.
func (e *Engine) Vacate(name string) error {
	u := e.broker(name)
	if u == nil {
		return ErrNoBroker
	}
	bye := &End{Why: "drained", Err: fmt.Errorf("broker %s is being drained", u.name), Client: mqtt.UseAnotherServer}
	e.each(func(s *session) {
		if s.isAt(u) {
			s.end(bye)
		}
	})
	return nil
}

// broker is the one of that name, nil for none.
func (e *Engine) broker(name string) *upstream {
	for _, u := range e.pool.all {
		_, address, _ := strings.Cut(u.name, "://")
		if u.name == name || u.URL == name || address == name {
			return u
		}
	}
	return nil
}
