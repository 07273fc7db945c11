package exproto_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

func TestTimers(t *testing.T) {
	const idle = time.Second
	for name, c := range map[string]struct {
		do   func(h *handler, e told) error
		send bool
		want string
	}{
		"a silent stranger":      {nil, false, "created, closed idle_timeout"},
		"one who has been heard": {nil, true, ""},
		"one who is known": {func(h *handler, e told) error {
			if e.what == "created" && len(h.all("")) == 1 { // the first one alone
				return h.login(e.conn, "dev")
			}
			return nil
		}, false, ""},
		"one who is refused, whatever it says": {func(h *handler, e told) error {
			if e.what == "bytes" {
				_, err := h.adapter.Authenticate(context.Background(), &pb.AuthenticateRequest{
					Conn: e.conn, Password: "wrong", Clientinfo: &pb.ClientInfo{ProtoName: "p", Clientid: "c"},
				})
				return errors.Join(err, h.send(e.conn, "no"))
			}
			return nil
		}, true, `created, bytes "x", closed idle_timeout`},
		"one who falls silent": {func(h *handler, e told) error {
			if e.what == "created" {
				return h.startTimer(e.conn, 1)
			}
			return nil
		}, true, `created, bytes "x", timer, closed keepalive_timeout`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, options{handler: &handler{do: c.do}, gateway: exproto.Config{IdleTimeout: idle}})
			d := s.device()
			if c.send {
				d.send("x")
				s.h.wait(t, "bytes", 1)
			}
			s.h.wait(t, "created", 1)
			if c.want != "" {
				d.closed()
				s.h.wait(t, "closed", 1)
				if got := kinds(s.h.all("")); got != c.want {
					t.Errorf("told: %s, want %s", got, c.want)
				}
				return
			}
			// Another device shows that the time is over.
			other := s.device()
			other.closed()
			s.h.wait(t, "closed", 1)
			d.send("y")
			until(t, "its bytes", func() bool { return strings.Contains(kinds(s.h.all("")), `"y"`) })
		})
	}
}

// The handler may take a second for OnTimerTimeout, not more.
func TestAHandlerThatHangsInTheTimerLosesTheDevice(t *testing.T) {
	hang := make(chan struct{})
	s := start(t, options{
		gateway: exproto.Config{KeepaliveMultiplier: 0.1, FlushTimeout: 100 * time.Millisecond},
		handler: &handler{do: func(h *handler, e told) error {
			switch e.what {
			case "created":
				return h.startTimer(e.conn, 1)
			case "timer":
				<-hang
			}
			return nil
		}},
	})
	defer close(hang)
	s.device().closed()
	if e := s.h.wait(t, "closed", 1); e.reason != "keepalive_timeout" {
		t.Errorf("%v", e)
	}
}

func TestASecondTimerReplacesTheFirst(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{KeepaliveMultiplier: 1}, handler: &handler{do: func(h *handler, e told) error {
		switch e.what {
		case "created":
			return errors.Join(h.startTimer(e.conn, 1), h.startTimer(e.conn, 10_000))
		case "bytes":
			return h.startTimer(e.conn, 1)
		}
		return nil
	}}})
	kept, lost := s.device(), s.device()
	s.h.wait(t, "created", 2)
	lost.send("x")
	lost.closed()
	kept.send("y")
	until(t, "its bytes", func() bool { return strings.Contains(kinds(s.h.all("")), `"y"`) })
}
