package exproto

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc/connectivity"
)

// A handler has a certain number of workers, and what it is told waits for one of
// them. So that this is not taken for the time that the event itself needs, no more
// are told at a time than MaxCallsInFlight, and the others wait here: in the order
// in which they came, which is fair, because a device has one at most.

// turns are the calls in flight, by the address of the handler.
type turns struct {
	mu        sync.Mutex
	byAddress map[string]chan struct{}
}

// of is the handler's; nil where calls have no deadline that the queue could use
// up. Listeners that set different numbers have the first.
func (t *turns) of(cfg HandlerConfig) chan struct{} {
	if *cfg.Timeout == 0 || cfg.Service == streamService {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byAddress == nil {
		t.byAddress = map[string]chan struct{}{}
	}
	if t.byAddress[cfg.Address] == nil {
		t.byAddress[cfg.Address] = make(chan struct{}, cfg.MaxCallsInFlight)
	}
	return t.byAddress[cfg.Address]
}

// errNoTurn: the handler has not been told, and will not be.
var errNoTurn = errors.New("the handler has been too busy to be told")

// turn waits until there is a handler, and it may be told something. Who waits for
// a handler that is not there takes nobody's turn.
func (h *handler) turn(ctx context.Context) (done func(), err error) {
	for {
		if err := h.ready(ctx); err != nil {
			return nil, err
		}
		if h.turns == nil {
			return func() {}, nil
		}
		select {
		case h.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, errNoTurn
		case <-h.lasting.Done():
			return nil, errNoTurn
		}
		if h.current().cc.GetState() == connectivity.Ready {
			return func() { <-h.turns }, nil
		}
		<-h.turns
	}
}
