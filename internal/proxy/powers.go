package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// powers are what stages may do to their session.
type powers struct{ s *session }

// Inject implements Powers.
func (p powers) Inject(from Stage, f Frame) error {
	st := p.s.state
	if st.ctx.Err() != nil {
		return ErrEnded
	}
	at := f.Direction.entry(len(st.stages))
	for i, stage := range st.stages {
		if from != nil && stage == from {
			at = i + 1
			if f.Direction == ToClient {
				at = i - 1
			}
		}
	}
	if err := p.s.pass(st.ctx, f, at); err != nil {
		p.s.end(endOf(err))
		return err
	}
	return errors.Join(st.sinks[f.Direction].flush(), st.sinks[f.Direction.Back()].flushOther())
}

// Write implements Powers.
func (p powers) Write(d Direction, b []byte) error {
	if p.s.state.ctx.Err() != nil {
		return ErrEnded
	}
	return p.s.state.sinks[d].raw(b)
}

// Stall implements Powers.
func (p powers) Stall(d Direction, on bool) { p.s.state.pumps[d].gate.set(on) }

// Slice implements Powers.
func (p powers) Slice(d Direction, n int, pause time.Duration) {
	p.s.state.sinks[d].slices(n, pause)
}

// End implements Powers.
func (p powers) End(e *End) { p.s.end(e) }

// Server implements Powers.
func (p powers) Server() string {
	p.s.e.mu.Lock()
	defer p.s.e.mu.Unlock()
	if p.s.up == nil {
		return ""
	}
	return p.s.up.name
}

// Dial implements Powers.
func (p powers) Dial(ctx context.Context, clientID string) (transport.Conn, error) {
	s := p.s
	s.e.mu.Lock()
	up := s.up
	s.e.mu.Unlock()
	if up != nil {
		return s.dialTo(ctx, up)
	}
	err := errNoBroker
	for _, u := range s.e.pool.order(clientID) {
		var nc transport.Conn
		if nc, err = s.dialTo(ctx, u); err == nil {
			return nc, nil
		}
	}
	return nil, err
}
