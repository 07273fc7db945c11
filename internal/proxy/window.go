package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// maxWindowWait bounds how long a direction waits for room in a Window: two of them, in
// either direction, could wait for answers that stand behind each other.
const maxWindowWait = 5 * time.Minute

// Window limits how many messages of QoS 1 and 2 of one direction are on their way
// without an answer. What does not fit is held back in order, up to a number of
// bytes; then the direction waits, and after some minutes the connection ends.
type Window struct {
	max, maxBytes int

	mu     sync.Mutex
	open   map[uint16]struct{}
	held   []heldFrame
	bytes  int
	moving bool          // somebody is passing on held frames
	room   chan struct{} // closed when a frame has left held; nil: nobody waits
}

type heldFrame struct {
	id    uint16
	frame Frame
	since time.Time
}

// PassFunc passes a frame on, which has waited. It reports false if it has dropped
// the frame instead.
type PassFunc func(f Frame, waited time.Duration) (passed bool, err error)

// NewWindow makes a window for max messages, which holds back up to maxBytes.
func NewWindow(maximum, maxBytes int) *Window {
	return &Window{max: maximum, maxBytes: maxBytes, open: make(map[uint16]struct{})}
}

// Enter passes f on, a PUBLISH with that identifier, or holds it back for Leave to
// pass on. One that is on its way already, which is a retransmission, goes on.
func (w *Window) Enter(ctx context.Context, id uint16, f Frame, pass PassFunc) error {
	began := time.Now()
	for {
		w.mu.Lock()
		_, again := w.open[id]
		free := len(w.held) == 0 && !w.moving && len(w.open) < w.max
		switch {
		case again || free:
			w.open[id] = struct{}{}
			w.mu.Unlock()
			passed, err := pass(f, 0)
			if err == nil && !passed && !again {
				err = w.Leave(id, pass)
			}
			return err
		case len(w.held) == 0 || w.bytes+len(f.Bytes) <= w.maxBytes:
			f.Bytes = append([]byte(nil), f.Bytes...)
			w.held = append(w.held, heldFrame{id, f, time.Now()})
			w.bytes += len(f.Bytes)
			w.mu.Unlock()
			return w.move(pass)
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		late := time.NewTimer(time.Until(began.Add(maxWindowWait)))
		select {
		case <-room:
			late.Stop()
		case <-late.C:
			return &End{
				Why: "stuck", Err: fmt.Errorf("%s: messages in flight have not been answered for %v", f.Direction, maxWindowWait),
				Client: mqtt.QuotaExceeded,
			}
		case <-ctx.Done():
			late.Stop()
			return ctx.Err()
		}
	}
}

// Leave says that the exchange has been answered, and passes on what fits then.
func (w *Window) Leave(id uint16, pass PassFunc) error {
	w.mu.Lock()
	delete(w.open, id)
	w.mu.Unlock()
	return w.move(pass)
}

// move passes on what is held and fits, unless somebody does so already.
func (w *Window) move(pass PassFunc) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moving {
		return nil
	}
	w.moving = true
	defer func() { w.moving = false }()
	for len(w.held) > 0 && len(w.open) < w.max {
		h := w.held[0]
		w.held[0] = heldFrame{}
		w.held = w.held[1:]
		w.bytes -= len(h.frame.Bytes)
		w.open[h.id] = struct{}{}
		if w.room != nil {
			close(w.room)
			w.room = nil
		}
		w.mu.Unlock()
		passed, err := pass(h.frame, time.Since(h.since))
		w.mu.Lock()
		if err != nil {
			return err
		}
		if !passed {
			delete(w.open, h.id)
		}
	}
	return nil
}

// Full reports whether a message with that identifier would be held back.
func (w *Window) Full(id uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, again := w.open[id]
	return !again && (len(w.held) > 0 || len(w.open) >= w.max)
}

// Sizes are how many messages are on their way, and how many held back.
func (w *Window) Sizes() (open, held int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open), len(w.held)
}

// Expire takes the time that a message has been held back for off its message
// expiry interval; it reports false if nothing is left of it.
func Expire(p *mqtt.Publish, waited time.Duration) bool {
	left, ok := p.Properties.Uint32(mqtt.PropMessageExpiryInterval)
	seconds := uint64(waited / time.Second)
	if !ok || seconds == 0 {
		return true
	}
	if uint64(left) <= seconds {
		return false
	}
	p.Properties = p.Properties.Without(mqtt.PropMessageExpiryInterval).
		AppendUint32(mqtt.PropMessageExpiryInterval, left-uint32(seconds)) // [MQTT-3.3.2-6]
	return true
}
