package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

const (
	readBufferBytes = 64 << 10
	// linger is how long a closing link waits for the server to finish, once
	// everything has been handed to the operating system.
	linger = 2 * time.Second
	// lastWords is how long the reader may go on after a write has failed: the
	// reason for it, a DISCONNECT, may be waiting to be read.
	lastWords = 500 * time.Millisecond
	// maxPacketBytes is the longest packet the wire format can express.
	maxPacketBytes = 1 + 4 + 268_435_455
)

// link is one network connection. Three parties share it: a reader goroutine,
// a writer goroutine, and the library, which sees it as the net.Conn of wire.go.
type link struct {
	c       *Client
	conn    net.Conn
	talk    conversation
	dead    chan struct{} // closed by fail
	ready   chan struct{} // closed once the client has taken the link into use
	threads sync.WaitGroup
	opened  time.Time
	clean   bool // what CONNECT asked for

	toLibrary pipe
	library   sync.Mutex // wire.Lock: keeps one packet of the library together

	// Written by the reader before it gives CONNACK to the library, constant
	// afterwards.
	connack atomic.Pointer[mqtt.Connack]
	limits  limits

	// Owned by the reader.
	inAliases map[uint16]string
	names     map[string]string // topic names seen, so that each is allocated once
	handed    bool              // OnMessage was called, or may have been, since OnIdle
	urgent    bool              // and something else came than messages at QoS 0
	replies   []reply           // to be sent when the reader has worked off what it has

	lastSent atomic.Int64 // unix nanoseconds of the last completed write
	handing  atomic.Bool  // handed, for others; stays until the acknowledgements are in out

	// Guarded by c.mu.
	wake        *sync.Cond // something for the writer
	out, flying batch      // being filled; being written
	stopped     bool       // fail was called
	err         error      // why; the first reason stays
	writeErr    error
	partial     []byte // a packet of the library that is not complete yet
	goodbye     bool   // DISCONNECT is in out: nothing may follow it
	unproven    bool   // it has carried messages at QoS 0
	// connectPacket, if set, is sent in place of the library's CONNECT.
	connectPacket []byte
	requests      map[uint16]question
	outAliases    map[uint16]string
}

// batch is a stretch of encoded packets and the QoS 0 messages in it.
type batch struct {
	buf     []byte
	written []pendingWrite
}

// pendingWrite is a QoS 0 message at buf[start:end], whose outcome is known as
// soon as the operating system has taken its last byte.
type pendingWrite struct {
	start, end int
	sends      int
	done       func(Outcome)
}

func newLink(c *Client, conn net.Conn, talk conversation) *link {
	l := &link{
		c: c, conn: conn, talk: talk,
		dead:       make(chan struct{}),
		ready:      make(chan struct{}),
		opened:     time.Now(),
		limits:     noLimits(),
		inAliases:  map[uint16]string{},
		names:      map[string]string{},
		wake:       sync.NewCond(&c.mu),
		requests:   map[uint16]question{},
		outAliases: map[uint16]string{},
	}
	l.lastSent.Store(l.opened.UnixNano())
	l.threads.Go(l.read)
	l.threads.Go(l.write)
	return l
}

// fail ends the link for reason, the first one given. It does not wait.
func (l *link) fail(reason error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.stopped {
		return
	}
	l.stopped, l.err = true, reason
	close(l.dead)
	l.toLibrary.close(io.EOF)
	_ = l.conn.Close()
	l.wake.Broadcast()
	l.c.room.Broadcast()
}

// leaving reports that DISCONNECT is on its way.
func (l *link) leaving() bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.goodbye
}

// reason is why the link ended; valid after dead is closed.
func (l *link) reason() error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.err
}

// write is the writer goroutine: it takes all that has gathered and hands it to
// the connection in one call. What gathers meanwhile is the next batch, so a
// lone packet leaves at once and a flood leaves in large writes.
func (l *link) write() {
	mu := &l.c.mu
	mu.Lock()
	defer mu.Unlock()
	for {
		for len(l.out.buf) == 0 && !l.stopped {
			l.wake.Wait()
		}
		if l.stopped {
			return
		}
		l.flying, l.out = l.out, batch{l.flying.buf[:0], l.flying.written[:0]}
		if cap(l.out.buf) > 4*l.c.o.MaxPendingBytes {
			l.out.buf = nil // a giant has passed
		}
		l.c.room.Broadcast()
		sending := l.flying
		mu.Unlock()

		n, err := l.conn.Write(sending.buf)
		l.lastSent.Store(time.Now().UnixNano())
		settled := 0
		for _, w := range sending.written {
			if w.end > n {
				break // what is left goes to the next connection
			}
			settled++
			if w.done != nil {
				w.done(Outcome{Kind: Written, Sends: w.sends})
			}
		}

		mu.Lock()
		l.c.unsettled -= settled
		l.flying.written = l.flying.written[settled:]
		if err != nil {
			l.writeErr = err
			_ = l.conn.SetReadDeadline(time.Now().Add(lastWords))
			return
		}
		l.flying.buf, l.flying.written = sending.buf[:0], sending.written[:0]
		l.c.room.Broadcast()
	}
}

// idle reports that the writer has nothing left. c.mu is held.
func (l *link) idle() bool { return len(l.out.buf) == 0 && len(l.flying.buf) == 0 }

// drain waits until the writer has nothing left, the link has ended, or stop
// is closed.
func (l *link) drain(stop <-chan struct{}) {
	l.c.mu.Lock()
	idle := l.idle()
	l.c.mu.Unlock()
	if idle {
		return
	}
	release := l.c.wakeOn(stop)
	defer release()
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for !l.idle() && !l.stopped && l.writeErr == nil && !closed(stop) {
		l.c.room.Wait()
	}
}

// append puts p on the link. c.mu is held.
func (l *link) append(p mqtt.Packet) error {
	if l.stopped || l.goodbye {
		return ErrConnectionLost
	}
	start := len(l.out.buf)
	buf, err := p.Append(l.out.buf, l.c.o.Version)
	if err != nil {
		return err
	}
	l.out.buf = buf
	l.sent(start)
	return nil
}

// sent follows every packet that was appended at start. c.mu is held.
func (l *link) sent(start int) {
	if l.c.o.OnPacket != nil {
		l.c.o.OnPacket(Sent, l.out.buf[start:])
	}
	l.wake.Signal()
}

// farewell puts DISCONNECT on the link, behind which nothing follows. c.mu is
// held.
func (l *link) farewell(d mqtt.Disconnect) error {
	err := l.append(d)
	if err == nil {
		l.goodbye = true
		l.flushNow()
	}
	return err
}

// tryWriter is a connection that can write what the operating system takes at
// once; transport's connections are.
type tryWriter interface{ TryWrite(b []byte) (int, error) }

// flushNow writes small things on the caller's goroutine, which saves waking
// the writer; what does not fit, and every error, is left to it. c.mu is held.
func (l *link) flushNow() {
	const small = 4 << 10
	w, ok := l.conn.(tryWriter)
	if ok && !l.stopped && l.writeErr == nil && len(l.flying.buf) == 0 && len(l.out.written) == 0 && len(l.out.buf) <= small {
		n, _ := w.TryWrite(l.out.buf)
		l.out.buf = l.out.buf[:copy(l.out.buf, l.out.buf[n:])]
		l.lastSent.Store(time.Now().UnixNano())
	}
	if len(l.out.buf) > 0 {
		l.wake.Signal()
	} else {
		l.c.room.Broadcast()
	}
}

// read is the reader goroutine: it cuts the stream into packets and gives each
// to the client or to the library.
func (l *link) read() {
	buf := make([]byte, readBufferBytes)
	start, end := 0, 0
	var flood, ackedFlood flood
	for {
		n, err := l.conn.Read(buf[end:])
		end += n
		for start < end {
			header, body, size, ferr := mqtt.Frame(buf[start:end], l.c.maxReceive)
			short := errors.Is(ferr, mqtt.ErrShort)
			if ferr == nil || short {
				if err := l.premature(header.Type); err != nil {
					ferr, short = err, false
				}
			}
			if short {
				break
			}
			if ferr == nil {
				ferr = l.receive(header, body, buf[start:start+size])
			}
			if ferr != nil {
				l.violated(ferr)
				return
			}
			start += size
		}
		if len(l.replies) > 0 && ackedFlood.rising(n) {
			giveWay()
			ackedFlood.last = time.Now()
		}
		atRest := l.caughtUp()
		if err != nil {
			l.fail(l.readError(err))
			return
		}
		if atRest && flood.rising(n) {
			time.Sleep(gather)
		}
		switch {
		case start == end:
			if start, end = 0, 0; len(buf) > 16*readBufferBytes {
				buf = make([]byte, readBufferBytes)
			}
		case start > 0:
			end = copy(buf, buf[start:end])
			start = 0
		}
		if end == len(buf) {
			// Grows with what has arrived, never by what a header promises.
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

const (
	// gather is how long the reader lets a flood gather between two reads.
	gather = 100 * time.Microsecond
	// floodReads in a row, each small and each at most gather after the one
	// before, are a flood.
	floodReads = 32
	smallRead  = readBufferBytes / 4
)

// flood notices a server that sends one message per system call faster than
// they are read. To be woken for each costs both sides more than the message
// does; a short rest makes one read of many. A lone message never waits, and
// neither does anything that the server waits for: in a flood of messages that
// it wants acknowledged the reader gives way to a server on the same machine,
// which may have more to send, and does not rest.
type flood struct {
	last time.Time
	run  int
}

func (f *flood) rising(n int) bool {
	now := time.Now()
	if n > smallRead || now.Sub(f.last) > 2*gather {
		f.run = 0
	}
	f.last = now
	f.run++
	return f.run > floodReads
}

// readError says in the client's terms why reading ended.
func (l *link) readError(err error) error {
	l.c.mu.Lock()
	writeErr := l.writeErr
	l.c.mu.Unlock()
	if writeErr != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF)) {
		err = writeErr
	}
	sentinel := ErrConnectionLost
	if l.connack.Load() == nil {
		sentinel = ErrClosedBeforeConnack
	}
	if errors.Is(err, io.EOF) {
		return sentinel
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// violated ends the link because of what the server sent, with DISCONNECT and
// the code in 5.0. Errors that are no *mqtt.Malformed need no such answer.
func (l *link) violated(err error) {
	var bad *mqtt.Malformed
	if errors.As(err, &bad) && l.c.o.Version == mqtt.V5 && l.connack.Load() != nil {
		l.c.mu.Lock()
		_ = l.farewell(mqtt.Disconnect{Code: bad.Code})
		l.c.mu.Unlock()
		stop := make(chan struct{})
		timer := time.AfterFunc(lastWords, func() { close(stop) })
		l.drain(stop)
		timer.Stop()
	}
	l.fail(err)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
