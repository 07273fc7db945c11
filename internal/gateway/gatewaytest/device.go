package gatewaytest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// device is the client's end of a connection. It can stop reading, hold back
// what is written, and remembers what that was.
type device struct {
	net.Conn
	closed chan struct{}
	once   sync.Once

	mu        sync.Mutex
	written   []byte
	held      []byte
	gathering bool
	stalled   bool
}

// rememberedBytes bounds written.
const rememberedBytes = 4 << 10

func newDevice(nc net.Conn) *device { return &device{Conn: nc, closed: make(chan struct{})} }

// Read implements net.Conn.
func (d *device) Read(b []byte) (int, error) {
	d.mu.Lock()
	stalled := d.stalled
	d.mu.Unlock()
	if stalled {
		<-d.closed
		return 0, net.ErrClosed
	}
	return d.Conn.Read(b)
}

// Write implements net.Conn.
func (d *device) Write(b []byte) (int, error) {
	d.mu.Lock()
	if n := min(len(b), rememberedBytes-len(d.written)); n > 0 {
		d.written = append(d.written, b[:n]...)
	}
	if d.gathering {
		defer d.mu.Unlock()
		d.held = append(d.held, b...)
		return len(b), nil
	}
	d.mu.Unlock()
	return d.Conn.Write(b)
}

// Close implements net.Conn.
func (d *device) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

// stall stops reading for good.
func (d *device) stall() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stalled = true
}

// gather holds back what is written until release.
func (d *device) gather() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gathering = true
}

// release writes what has been held back, at once.
func (d *device) release() error {
	d.mu.Lock()
	held := d.held
	d.held, d.gathering = nil, false
	d.mu.Unlock()
	_ = d.SetWriteDeadline(time.Now().Add(Patience))
	_, err := d.Conn.Write(held)
	return err
}

func (d *device) remembered() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written
}

// ended waits until the gateway has ended the connection, and closes it: a
// gateway that says last words waits for that.
func (d *device) ended(t *testing.T) {
	t.Helper()
	_ = d.SetReadDeadline(time.Now().Add(Patience))
	buf := make([]byte, 4<<10)
	for {
		_, err := d.Conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection is still open")
		}
		if err != nil {
			_ = d.Close()
			return
		}
	}
}

// cutter is a listener whose connections bring a few bytes in each read: unlike
// on a socket, nothing puts them together again.
type cutter struct {
	net.Listener
	readBytes int
}

// Accept implements net.Listener.
func (l cutter) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return cutConn{nc, l.readBytes}, nil
}

type cutConn struct {
	net.Conn
	readBytes int
}

// Read implements net.Conn.
func (c cutConn) Read(b []byte) (int, error) { return c.Conn.Read(b[:min(len(b), c.readBytes)]) }

// CloseWrite ends the stream towards the device, as a socket can.
func (c cutConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// text is a payload of n letters and digits that differs with i.
func text(i, n int) string {
	s := fmt.Sprintf("%0*d", n, i)
	return s[len(s)-n:]
}

// short is a payload in an error message.
func short(payload string) string {
	if len(payload) <= 40 {
		return fmt.Sprintf("%q", payload)
	}
	return fmt.Sprintf("%q… (%d bytes)", payload[:40], len(payload))
}
