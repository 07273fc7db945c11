package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// nowhere is a connection without an address.
type nowhere struct{ transport.Conn }

// Info implements transport.Conn.
func (nowhere) Info() transport.Info { return transport.Info{} }

func TestRefusalsAreToldAgainAfterThePause(t *testing.T) {
	var log bytes.Buffer
	s := &Server{cfg: ServerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	c := &Conn{s: s, nc: nowhere{}, lastRead: time.Now()}
	for _, wait := range []time.Duration{0, 0, refusalPause / 2, refusalPause / 2, time.Second, refusalPause} {
		c.lastRead = c.lastRead.Add(wait)
		c.Refused("subscription", "a/#", errors.New("not authorized"))
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), log.String())
	}
	for i, want := range []string{"more_before=0", "more_before=2", "more_before=1"} {
		if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], `what=subscription`) {
			t.Errorf("line %d lacks %s: %s", i, want, lines[i])
		}
	}
}
