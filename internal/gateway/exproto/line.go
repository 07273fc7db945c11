package exproto

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// line is what calls of the handler go over: a gRPC client, whose connection it
// makes again when it is lost. One that freezes is not lost: nothing comes, and
// nobody says so, for as long as TCP is patient. Then another line takes its place.
// gRPC's own keep alive would find that out as well, but servers in some languages
// end connections that ping more often than every five minutes.
type line struct {
	cc    *grpc.ClientConn
	heard atomic.Int64   // when something was last read, in ns since 1970
	calls sync.WaitGroup // under way; added to while the line is the handler's
}

func (h *handler) newLine() (*line, error) {
	security := insecure.NewCredentials()
	if h.endpoint.Scheme.TLS {
		security = dialed{}
	}
	l := &line{}
	var err error
	l.cc, err = grpc.NewClient("passthrough:///"+h.endpoint.Address(),
		grpc.WithTransportCredentials(security),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			nc, err := h.dial(ctx)
			if err != nil {
				return nil, err
			}
			return &listening{nc, l}, nil
		}),
		grpc.WithAuthority(h.endpoint.Address()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("iotctl"),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: h.cfg.ConnectTimeout,
		}))
	return l, err
}

// silentSince reports whether nothing at all has come since then.
func (l *line) silentSince(t time.Time) bool { return l.heard.Load() < t.UnixNano() }

func (l *line) close() { _ = l.cc.Close() }

// listening notes when something comes.
type listening struct {
	net.Conn
	l *line
}

// Read implements net.Conn.
func (c *listening) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.l.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// current is the line for what does not have to be waited for.
func (h *handler) current() *line {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.line
}

// take is the line for a call, whose end calls.Done tells.
func (h *handler) take() *line {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.calls.Add(1)
	return h.line
}

// replace lets calls from now on go over another line than l. Those that are under
// way may still be answered: perhaps the handler is only slow.
func (h *handler) replace(l *line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.line != l {
		return
	}
	next, err := h.newLine()
	if err != nil { // the address is that of l
		h.log.Error("exproto: no other connection to the handler", "url", h.address(), "err", err)
		return
	}
	h.line = next
	h.replaced.Go(func() {
		l.calls.Wait()
		l.close()
	})
	h.log.Warn("exproto: nothing comes on the connection to the handler; another one is made", "url", h.address())
}
