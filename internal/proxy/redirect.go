package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// redirect is a CONNACK that names another server.
type redirect struct{ to string }

// Error implements error.
func (r *redirect) Error() string { return "the broker refers to " + r.to }

// follow repeats the CONNECT at the server that a broker refers to: host, or host and
// port, the first of several. The manner of the connection stays as it was.
func (s *session) follow(ctx context.Context, r *redirect) error {
	first, _, _ := strings.Cut(strings.TrimSpace(r.to), " ")
	up := *s.up.Upstream.at(first, s.up.endpoint)
	u, err := newUpstream(up, Schemes())
	if err != nil {
		return &End{Why: "no-broker", Err: fmt.Errorf("%w: %w", r, err), Client: mqtt.ServerUnavailable}
	}
	nc, err := s.dialTo(ctx, u)
	if err != nil {
		return &End{Why: "no-broker", Err: fmt.Errorf("%w: %w", r, err), Client: mqtt.ServerUnavailable}
	}
	_ = s.server.Close()
	s.up.open.Add(-1)
	s.use(u, nc)
	down := newPump(s, ToClient)
	s.state.pumps[ToClient] = down
	return s.state.sinks[ToServer].write(s.state.connect)
}

// at is u at another host, or host and port.
func (u *Upstream) at(host string, e transport.Endpoint) *Upstream {
	moved := *u
	path := ""
	if e.Scheme.WebSocket {
		path = e.Path
	}
	if !strings.Contains(strings.TrimPrefix(host, "["), ":") || strings.HasSuffix(host, "]") {
		host = fmt.Sprintf("%s:%d", host, e.Port)
	}
	moved.URL = e.Scheme.Name + "://" + host + path
	return &moved
}

var errNoBroker = errors.New("every broker is being drained")
