package exproto_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
)

func TestACallbackHasADeadline(t *testing.T) {
	limit := time.Second
	hang := make(chan struct{})
	defer close(hang)
	for {
		s := start(t, options{
			gateway: exproto.Config{Handler: exproto.HandlerConfig{Timeout: &limit}},
			handler: &handler{do: func(_ *handler, e told) error {
				if e.what == "bytes" {
					<-hang
				}
				return nil
			}},
		})
		d := s.device()
		d.send("x")
		d.closed()
		s.h.wait(t, "closed", 1)
		if s.log.count("has not answered OnReceivedBytes within 1s") > 0 {
			return
		}
		if s.log.count("has not answered OnSocketCreated within 1s") == 0 { // a busy machine: once more
			t.Fatalf("the log does not say why:\n%s", s.log.String())
		}
	}
}

func TestASlowHandlerStopsTheReadingAndNothingIsLost(t *testing.T) {
	none := time.Duration(0)
	release := make(chan struct{})
	h := &handler{do: func(_ *handler, e told) error {
		if e.what == "bytes" {
			<-release
		}
		return nil
	}}
	s := start(t, options{handler: h, gateway: exproto.Config{
		QueueBytes: 256 << 10, Handler: exproto.HandlerConfig{Timeout: &none},
	}})
	d := s.device()
	_ = d.nc.(*net.TCPConn).SetWriteBuffer(64 << 10)
	block := strings.Repeat("0123456789abcdef", 4096)
	const most = 64 << 20
	written := 0
	for written < most {
		_ = d.nc.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := d.nc.Write([]byte(block))
		written += n
		if err != nil {
			break
		}
	}
	if written >= most {
		t.Fatal("everything was read although the handler has taken nothing")
	}
	close(release)
	_ = d.nc.Close()
	h.wait(t, "closed", 1)
	var all strings.Builder
	for _, e := range h.all("") {
		all.WriteString(e.bytes)
	}
	if all.Len() != written {
		t.Errorf("%d bytes have been told, %d written", all.Len(), written)
	}
	if want := strings.Repeat(block, written/len(block)+1)[:written]; all.String() != want {
		t.Error("bytes are out of order")
	}
}

func TestMessagesForASlowHandlerAreBounded(t *testing.T) {
	none := time.Duration(0)
	release := make(chan struct{})
	h := &handler{do: func(h *handler, e told) error {
		switch e.what {
		case "created":
			if err := h.login(e.conn, "slow"); err != nil {
				return err
			}
			return h.subscribe(e.conn, "load", 0)
		case "messages":
			<-release
		}
		return nil
	}}
	s := start(t, options{
		handler: h,
		gateway: exproto.Config{QueueBytes: 64 << 10, Handler: exproto.HandlerConfig{Timeout: &none}},
	})
	s.device()
	s.h.wait(t, "created", 1)
	until(t, "it is subscribed", func() bool { return s.b.Stats().Subscriptions.Load() == 1 })
	for range 10_000 {
		s.publish("load", strings.Repeat("x", 1024), 0)
	}
	if s.b.Stats().Dropped() == 0 {
		t.Error("nothing was dropped: 10 MB wait somewhere")
	}
	close(release)
	// What has waited comes, and there is room again.
	until(t, "the last message", func() bool {
		s.publish("load", "last", 0)
		for _, e := range h.all("") {
			for _, m := range e.messages {
				if string(m.Payload) == "last" {
					return true
				}
			}
		}
		return false
	})
}

func TestAHandlerThatIsTooSlowAtTheEndIsGivenUp(t *testing.T) {
	none := time.Duration(0)
	hang := make(chan struct{})
	h := &handler{do: func(_ *handler, e told) error {
		if e.bytes == "stuck" {
			<-hang
		}
		return nil
	}}
	s := start(t, options{handler: h, gateway: exproto.Config{
		FlushTimeout: 200 * time.Millisecond, Handler: exproto.HandlerConfig{Timeout: &none},
	}})
	defer close(hang)
	d := s.device()
	d.send("stuck")
	h.wait(t, "bytes", 1)
	d.send("never told")
	_ = d.nc.Close()
	if e := h.wait(t, "closed", 1); e.reason != "peer_closed" {
		t.Errorf("%v", e)
	}
	if s.log.count("events_lost=1") != 1 || s.g.Counters()["events_lost"] != 1 {
		t.Error("nobody tells of the loss")
	}
}
