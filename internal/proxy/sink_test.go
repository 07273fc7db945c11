package proxy

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// slowConn takes what it is given at that many bytes per second.
type slowConn struct {
	transport.Conn
	rate     int
	deadline time.Time
	taken    int
}

func (c *slowConn) TryWrite([]byte) (int, error) { return 0, nil }

func (c *slowConn) SetWriteDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

func (c *slowConn) Write(b []byte) (int, error) {
	need := time.Duration(len(b)) * time.Second / time.Duration(c.rate)
	if left := time.Until(c.deadline); left < need {
		time.Sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(need)
	c.taken += len(b)
	return len(b), nil
}

func TestLargePacketReachesASlowSide(t *testing.T) {
	for _, c := range []struct {
		rate int
		ok   bool
	}{{1000, true}, {10, false}} {
		synctest.Test(t, func(t *testing.T) {
			s := &session{e: &Engine{m: &Metrics{}, cfg: Config{SendTimeout: DefaultSendTimeout}}, state: &state{ctx: t.Context()}}
			nc := &slowConn{rate: c.rate}
			var k sink
			k.init(s, ToClient, nc)
			if err := k.write(make([]byte, 1<<20)); (err == nil) != c.ok {
				t.Errorf("%d bytes per second, %d bytes taken: %v", c.rate, nc.taken, err)
			}
		})
	}
}
