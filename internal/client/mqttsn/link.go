package mqttsn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/transport"
)

// farewellRetry is T_retry of the last DISCONNECT.
const farewellRetry = 500 * time.Millisecond

// link is one connection of a Client to the network: a goroutine reads, another
// one keeps time.
type link struct {
	c       *Client
	conn    net.Conn
	opened  time.Time
	dead    chan struct{} // closed by fail
	nudge   chan struct{} // the deadline has moved
	result  chan error    // of CONNECT, once
	left    chan error    // the answer to DISCONNECT, once; ErrUnanswered if there was none
	threads sync.WaitGroup

	// Guarded by c.mu.
	up      bool // CONNECT was accepted
	stopped bool // fail was called
	err     error
	alarm   time.Time // what the clock waits for
}

func newLink(c *Client, conn net.Conn) *link {
	l := &link{
		c: c, conn: conn, opened: time.Now(), dead: make(chan struct{}), nudge: make(chan struct{}, 1),
		result: make(chan error, 1), left: make(chan error, 1),
	}
	l.threads.Go(l.read)
	l.threads.Go(l.clock)
	return l
}

// fail ends the link for reason, the first one given. It does not wait.
func (l *link) fail(reason error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.failed(reason)
}

// failed is fail with c.mu held.
func (l *link) failed(reason error) {
	if l.stopped {
		return
	}
	l.stopped, l.err = true, reason
	close(l.dead)
	_ = l.conn.Close()
	l.c.room.Broadcast()
}

// read is the reader goroutine.
func (l *link) read() {
	buf := make([]byte, 1<<16)
	var fx Effects
	for {
		n, err := l.conn.Read(buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			continue
		case errors.Is(err, syscall.ECONNREFUSED):
			if l.nobody(err) {
				return
			}
			continue
		case err != nil:
			l.fail(fmt.Errorf("%w: %w", client.ErrConnectionLost, err))
			return
		}
		if l.c.o.OnPacket != nil {
			l.c.o.OnPacket(client.Received, buf[:n])
		}
		fx.Reset()
		l.c.mu.Lock()
		now := time.Now()
		if err := l.c.core.Handle(now, buf[:n], &fx); err != nil && l.c.o.Logger != nil {
			l.c.o.Logger.Debug("datagram dropped", "err", err)
		}
		l.c.carryOut(l, now, &fx)
	}
}

// nobody is after the news that nobody listens. That counts while a connection is
// made; afterwards a gateway may be starting anew, and what it has missed is repeated.
func (l *link) nobody(err error) bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.up {
		return false
	}
	l.failed(&transport.Error{
		Op: "connect", Target: l.conn.RemoteAddr().String(), Problem: "connection refused", Err: err,
		Hint: "is a gateway running there, and is this its port?",
	})
	return true
}

// clock is the goroutine that keeps time.
func (l *link) clock() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.c.mu.Lock()
		now, at := time.Now(), l.c.deadline()
		if !at.IsZero() && !now.Before(at) {
			fx := takeEffects()
			l.c.core.Tick(now, fx)
			l.c.carryOut(l, now, fx)
			giveEffects(fx)
			l.c.mu.Lock()
			at = l.c.deadline()
		}
		l.alarm = at
		l.c.mu.Unlock()
		if at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-l.dead:
			return
		case <-timer.C:
		case <-l.nudge:
		}
	}
}

// transmit sends all datagrams of fx; c.mu is held. A datagram that does not get
// away is lost, as others are on their way: the error is for those who are told
// of QoS 0.
func (l *link) transmit(fx *Effects) error {
	var first error
	for b := range fx.Datagrams() {
		if l.stopped {
			return client.ErrConnectionLost
		}
		if l.c.o.OnPacket != nil {
			l.c.o.OnPacket(client.Sent, b)
		}
		_, err := l.conn.Write(b)
		if errors.Is(err, syscall.ECONNREFUSED) { // news about an earlier one
			_, err = l.conn.Write(b)
		}
		if err != nil && first == nil {
			first = fmt.Errorf("%w: %w", client.ErrConnectionLost, err)
		}
		if errors.Is(err, net.ErrClosed) {
			l.failed(first)
		}
	}
	if at := l.c.deadline(); !at.Equal(l.alarm) {
		select {
		case l.nudge <- struct{}{}:
		default:
		}
	}
	return first
}

var effectsPool = sync.Pool{New: func() any { return new(Effects) }}

func takeEffects() *Effects { return effectsPool.Get().(*Effects) }

func giveEffects(fx *Effects) {
	fx.Reset()
	effectsPool.Put(fx)
}
