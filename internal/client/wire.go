package client

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// wire is the link as the library sees it. Reads yield the packets that concern
// the library; writes are collected to whole packets, so that the client's own
// can go between them. It is a sync.Locker because paho.golang writes a packet
// in several parts and locks a connection that can be locked.
type wire struct{ l *link }

func (w wire) Lock()   { w.l.library.Lock() }
func (w wire) Unlock() { w.l.library.Unlock() }

func (w wire) Read(b []byte) (int, error) { return w.l.toLibrary.Read(b) }

func (w wire) Write(b []byte) (int, error) {
	l := w.l
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.stopped || l.goodbye {
		return 0, net.ErrClosed
	}
	l.partial = append(l.partial, b...)
	for {
		_, _, size, err := mqtt.Frame(l.partial, maxPacketBytes)
		if errors.Is(err, mqtt.ErrShort) {
			return len(b), nil
		}
		if err != nil {
			return 0, err
		}
		packet := l.partial[:size]
		switch mqtt.Type(packet[0] >> 4) {
		case mqtt.TypeConnect:
			if l.connectPacket != nil {
				packet = l.connectPacket
			}
		case mqtt.TypeDisconnect:
			l.goodbye = true
		}
		start := len(l.out.buf)
		l.out.buf = append(l.out.buf, packet...)
		l.sent(start)
		l.partial = append(l.partial[:0], l.partial[size:]...)
	}
}

// Close is the library's farewell. The connection stays open until everything
// is written and the server has closed its side; the client sees to that.
func (w wire) Close() error {
	w.l.toLibrary.close(io.EOF)
	return nil
}

func (w wire) LocalAddr() net.Addr  { return w.l.conn.LocalAddr() }
func (w wire) RemoteAddr() net.Addr { return w.l.conn.RemoteAddr() }

// The deadlines are the client's business.
func (wire) SetDeadline(time.Time) error      { return nil }
func (wire) SetReadDeadline(time.Time) error  { return nil }
func (wire) SetWriteDeadline(time.Time) error { return nil }

// pipe carries the few packets that are for the library. Its writer never
// blocks for long: the library reads without doing anything else in between.
type pipe struct {
	mu   sync.Mutex
	cond *sync.Cond // set on first use
	buf  []byte
	err  error
}

// pipeBytes bounds what waits for the library.
const pipeBytes = 64 << 10

func (p *pipe) lock() {
	p.mu.Lock()
	if p.cond == nil {
		p.cond = sync.NewCond(&p.mu)
	}
}

func (p *pipe) Read(b []byte) (int, error) {
	p.lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && p.err == nil {
		p.cond.Wait()
	}
	if len(p.buf) == 0 {
		return 0, p.err
	}
	n := copy(b, p.buf)
	p.buf = append(p.buf[:0], p.buf[n:]...)
	p.cond.Broadcast()
	return n, nil
}

func (p *pipe) put(packet []byte) {
	p.lock()
	defer p.mu.Unlock()
	for len(p.buf) > pipeBytes && p.err == nil {
		p.cond.Wait()
	}
	if p.err == nil {
		p.buf = append(p.buf, packet...)
		p.cond.Broadcast()
	}
}

// close lets the reader end with err once it has read what is there.
func (p *pipe) close(err error) {
	p.lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}
