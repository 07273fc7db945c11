package exproto_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
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
		t.Errorf("%d errors of the handler: %s", n, s.log.String())
	}
}

// A sensor that connects, sends and closes is somebody: its end is not read before
// the handler has had the time to say who.
func TestWhoSendsAndClosesAtOnceIsLoggedIn(t *testing.T) {
	for _, scheme := range []string{"exproto", "exprotos"} {
		t.Run(scheme, func(t *testing.T) {
			const devices = 100
			ca := transporttest.NewCA(t, "devices")
			h := &handler{do: func(h *handler, e told) error {
				switch e.what {
				case "created":
					return h.login(e.conn, e.conn)
				case "bytes":
					return h.publish(e.conn, "up", e.bytes)
				}
				return nil
			}}
			o := options{handler: h, url: scheme + "://127.0.0.1:0"}
			if scheme == "exprotos" {
				o.listen.TLS = &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}
			}
			s := start(t, o)
			w := s.watch("up")
			for i := range devices {
				d := s.dial(t, &transport.ClientTLS{RootCAs: ca.Pool()})
				d.send(fmt.Sprint(i))
				_ = d.nc.Close()
			}
			seen := map[string]bool{}
			for range devices {
				seen[string(w.next(t).Payload)] = true
			}
			if len(seen) != devices {
				t.Errorf("%d devices have been heard", len(seen))
			}
			h.wait(t, "closed", devices)
			if n := s.g.Counters()["handler_errors"]; n != 0 {
				t.Errorf("%d errors of the handler", n)
			}
		})
	}
}

// The time for which a device is not read from is not the device's silence.
func TestTheIdleTimeoutBeginsWhenTheHandlerKnowsOfTheDevice(t *testing.T) {
	const idle = 500 * time.Millisecond
	release := make(chan struct{})
	s := start(t, options{gateway: exproto.Config{IdleTimeout: idle}, handler: &handler{do: func(_ *handler, e told) error {
		if e.what == "created" {
			<-release
		}
		return nil
	}}})
	speaks, silent := s.device(), s.device()
	speaks.send("x")
	s.h.wait(t, "created", 2)
	time.Sleep(2 * idle) // what is tested
	close(release)
	silent.closed()
	s.h.wait(t, "closed", 1)
	conn := s.h.wait(t, "bytes", 1).conn
	for _, e := range s.h.all("") {
		if e.what == "closed" && (e.conn == conn || e.reason != "idle_timeout") {
			t.Errorf("%v", e)
		}
	}
}
