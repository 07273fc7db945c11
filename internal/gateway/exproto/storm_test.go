package exproto_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	"github.com/iotctl/iotctl/internal/transport"
)

// A handler with few workers, as those in Python are, works off what comes in its
// own time; the deadline is that of a call, not that of the queue before it.
func TestAStormOfDevicesIsServedByAHandlerOfFewWorkers(t *testing.T) {
	const (
		devices = 500
		workers = 10
		login   = 100 * time.Millisecond // so that all of them take 5 s
	)
	limit := 2 * time.Second
	places := make(chan struct{}, workers)
	h := &handler{do: func(h *handler, e told) error {
		places <- struct{}{}
		defer func() { <-places }()
		switch e.what {
		case "created":
			time.Sleep(login) // what is tested
			return h.login(e.conn, e.conn)
		case "bytes":
			return h.send(e.conn, e.bytes)
		}
		return nil
	}}
	s := start(t, options{
		handler: h, listen: transport.ListenConfig{MaxConnRate: -1},
		gateway: exproto.Config{Handler: exproto.HandlerConfig{Timeout: &limit}},
	})
	var all []*device
	for i := range devices {
		d := s.device()
		d.send(fmt.Sprint(i))
		all = append(all, d)
	}
	for i, d := range all {
		d.expect(fmt.Sprint(i))
	}
	if n := s.g.Counters()["handler_errors"]; n != 0 {
		t.Errorf("%d errors of the handler: %s", n, s.log.text())
	}
}
