package gateway

import (
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// deaf is a connection that counts how often it is closed for writing.
type deaf struct {
	transport.Conn
	ends int
}

func (d *deaf) SetReadDeadline(time.Time) error  { return nil }
func (d *deaf) SetWriteDeadline(time.Time) error { return nil }
func (d *deaf) CloseWrite() error                { d.ends++; return nil }

// An operator may end a connection that is just ending by itself.
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	nc := &deaf{}
	var w writer
	w.init(nc, 1, time.Second, nil)
	w.stop()
	if w.finish([]byte{0xE0, 0}, false) {
		t.Error("a last packet was accepted")
	}
	w.wg.Wait()
	if nc.ends != 0 {
		t.Error("a goroutine has been started that nobody waits for")
	}
}
