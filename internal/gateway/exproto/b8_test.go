package exproto_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/exproto"
	"github.com/iotctl/iotctl/internal/transport"
)

// What a gateway of this kind has to show, and where that is:
//
//	 1. the official echo handlers: TestEchoHandler, TestPythonHandler, TestGateway
//	 2. old streaming handlers: TestOldStreamingHandlers
//	 3. order of 1000 devices: TestBytesNeverComeBeforeCreated
//	 4. no handler: TestWithoutAHandlerDevicesAreAcceptedAndClosed
//	 5. an error for bytes: TestAnErrorOfTheHandlerClosesThatDeviceAlone
//	 6. slow handlers: slow_test.go, TestDatagramsForASlowHandlerAreDroppedAndCounted
//	 7. calls from within: TestCallsFromWithinEveryEvent
//	 8. result codes: codes_test.go
//	 9. take-over: TestTakeOver
//	10. datagrams: TestDatagrams
//	11. flush on close: TestWhatIsSentBeforeTheEndStillCounts
//	12. batches: TestBatches
//	13. mountpoint: TestMountpointBothWays
//	14. client certificates: TestACertificateOfTheDeviceIsTold

func kinds(events []told) string {
	var all []string
	for _, e := range events {
		all = append(all, e.String())
	}
	return strings.Join(all, ", ")
}

func TestEchoHandler(t *testing.T) {
	s := start(t, options{handler: &handler{do: echo}})
	d := s.device()
	for _, line := range []string{"hello\r\n", "world\r\n"} {
		d.send(line)
		d.expect(line)
	}
	// All devices of the example call themselves the same.
	second := s.device()
	d.closed()
	first := s.h.wait(t, "created", 1).conn
	if e := s.h.wait(t, "closed", 1); e.conn != first || e.reason != "taken_over" {
		t.Errorf("%v of %s", e, e.conn)
	}
	second.send("again")
	second.expect("again")
}

func TestOldStreamingHandlers(t *testing.T) {
	for name, c := range map[string]struct {
		streams, old, perEvent bool
	}{
		"shared streams":     {streams: true},
		"a stream per event": {streams: true, perEvent: true},
		"unary, as in e4.2":  {old: true, perEvent: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := &handler{do: echo, streams: c.streams, old: c.old}
			s := start(t, options{
				handler: h,
				gateway: exproto.Config{Handler: exproto.HandlerConfig{Service: "ConnectionHandler", StreamPerEvent: c.perEvent}},
			})
			d := s.device()
			for i := range 50 {
				line := fmt.Sprintf("line %d\n", i)
				d.send(line)
				d.expect(line)
			}
			if err := d.nc.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if e := h.wait(t, "closed", 1); e.reason != "peer_closed" {
				t.Errorf("%v", e)
			}
			if first := h.all("")[0]; first.what != "created" {
				t.Errorf("%v came first", first)
			}
		})
	}
}

// Deadlines end streams of handlers that some languages have made.
func TestStreamsHaveNoDeadline(t *testing.T) {
	deadlines := make(chan bool, 100)
	h := &handler{streams: true, options: []grpc.ServerOption{grpc.StreamInterceptor(
		func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			_, has := s.Context().Deadline()
			deadlines <- has
			return next(srv, s)
		})}}
	s := start(t, options{handler: h, gateway: exproto.Config{Handler: exproto.HandlerConfig{Service: "ConnectionHandler"}}})
	d := s.device()
	d.send("x")
	h.wait(t, "bytes", 1)
	_ = d.nc.Close()
	h.wait(t, "closed", 1)
	if len(deadlines) != 3 {
		t.Errorf("%d streams", len(deadlines))
	}
	for range len(deadlines) {
		if <-deadlines {
			t.Error("a stream has a deadline")
		}
	}
}

func TestAStreamThatTheHandlerEndsIsOpenedAgain(t *testing.T) {
	h := &handler{streams: true, do: func(h *handler, e told) error {
		if e.bytes == "bad" {
			return errors.New("no more of that")
		}
		return nil
	}}
	s := start(t, options{handler: h, gateway: exproto.Config{Handler: exproto.HandlerConfig{Service: "ConnectionHandler"}}})
	d := s.device()
	d.send("bad")
	h.wait(t, "bytes", 1)
	// What is written before the end of the stream has arrived is lost.
	for i := 0; len(h.all("")) < 3; i++ {
		d.send("good")
		if i > 5000 {
			t.Fatal("no bytes have come any more")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBytesNeverComeBeforeCreated(t *testing.T) {
	h := &handler{do: func(_ *handler, e told) error {
		if e.what == "created" {
			time.Sleep(200 * time.Millisecond) // what is tested
		}
		return nil
	}}
	s := start(t, options{handler: h, listen: transport.ListenConfig{MaxConnRate: -1}})
	const devices = 1000
	for i := range devices {
		d := s.device()
		d.send(fmt.Sprint(i))
		if err := d.nc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h.wait(t, "closed", devices)
	perConn := map[string][]told{}
	for _, e := range h.all("") {
		perConn[e.conn] = append(perConn[e.conn], e)
	}
	if len(perConn) != devices {
		t.Errorf("%d devices", len(perConn))
	}
	for _, events := range perConn {
		if len(events) != 3 || events[0].what != "created" || events[1].what != "bytes" || events[2].String() != "closed peer_closed" {
			t.Errorf("told: %s", kinds(events))
		}
	}
}

func TestWithoutAHandlerDevicesAreAcceptedAndClosed(t *testing.T) {
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nowhere.Addr().String()
	s := start(t, options{nobody: true, gateway: exproto.Config{Handler: exproto.HandlerConfig{
		Address: "http://" + address, ConnectTimeout: time.Second,
	}}})
	_ = nowhere.Close() // nothing of ours can have its port
	for _, d := range []*device{s.device(), s.device(), s.device()} {
		d.closed()
	}
	until(t, "all are closed", func() bool { return s.l.Counters().Closed["handler_error"] == 3 })
	if n := s.log.count("the handler fails"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if s.log.count("connection refused") == 0 {
		t.Error("the log does not say why")
	}
	// One that comes in time is told.
	d := s.device()
	h := &handler{}
	h.serve(t, address)
	h.connect(t, s.g.AdapterURL())
	d.send("x")
	h.wait(t, "bytes", 1)
}

func TestAnErrorOfTheHandlerClosesThatDeviceAlone(t *testing.T) {
	s := start(t, options{handler: &handler{do: func(h *handler, e told) error {
		if e.bytes == "bad" {
			return errors.New("cannot parse that")
		}
		return nil
	}}})
	good, bad := s.device(), s.device()
	good.send("first")
	s.h.wait(t, "bytes", 1)
	bad.send("bad")
	bad.closed()
	if e := s.h.wait(t, "closed", 1); e.reason != "handler_error" {
		t.Errorf("%v", e)
	}
	good.send("second")
	s.h.wait(t, "bytes", 3)
	if n := s.g.Counters()["handler_errors"]; n != 1 {
		t.Errorf("counted %d", n)
	}
	if s.log.count("cannot parse that") == 0 {
		t.Error("the log does not say why")
	}
}

func TestCallsFromWithinEveryEvent(t *testing.T) {
	h := &handler{do: func(h *handler, e told) error {
		switch e.what {
		case "created":
			return errors.Join(h.login(e.conn, "dev"), h.subscribe(e.conn, "dn", 1), h.startTimer(e.conn, 1), h.send(e.conn, "welcome"))
		case "bytes":
			return h.publish(e.conn, "up", e.bytes)
		case "messages":
			return h.send(e.conn, string(e.messages[0].Payload))
		case "timer":
			return errors.Join(h.send(e.conn, "bye"), h.close(e.conn))
		case "closed":
			if err := h.send(e.conn, "x"); err == nil || !strings.HasPrefix(err.Error(), "CONN_PROCESS_NOT_ALIVE") {
				return fmt.Errorf("send after the end: %w", err)
			}
		}
		return nil
	}}
	s := start(t, options{handler: h})
	w := s.watch("up")
	d := s.device()
	d.expect("welcome")
	d.send("reading")
	w.expect(t, "up", "reading")
	s.publish("dn", "command", 1)
	d.expect("command")
	if rest := d.closed(); rest != "bye" { // the device has said nothing for 1.5 s
		t.Errorf("the device has been told %q", rest)
	}
	if e := h.wait(t, "closed", 1); e.reason != "normal" {
		t.Errorf("%v", e)
	}
	if s.log.count("the handler fails") > 0 {
		t.Error(s.log.String())
	}
}

func TestTakeOver(t *testing.T) {
	s := start(t, options{handler: &handler{do: func(h *handler, e told) error {
		if e.what == "bytes" {
			return h.login(e.conn, e.bytes)
		}
		return nil
	}}})
	first, other, second := s.device(), s.device(), s.device()
	first.send("dev1")
	until(t, "dev1 is there", func() bool { return s.b.Stats().Connected.Load() == 1 })
	other.send("dev2")
	until(t, "dev2 is there", func() bool { return s.b.Stats().Connected.Load() == 2 })
	second.send("dev1")
	first.closed()
	if e := s.h.wait(t, "closed", 1); e.reason != "taken_over" {
		t.Errorf("%v", e)
	}
	until(t, "two are left", func() bool { return s.b.Stats().Connected.Load() == 2 })
	if n := s.b.Stats().TakenOver.Load(); n != 1 {
		t.Errorf("%d taken over", n)
	}
}

func TestAKickedDeviceIsToldOf(t *testing.T) {
	s := start(t, options{handler: &handler{do: echo}})
	d := s.device()
	d.send("x")
	d.expect("x")
	if !s.b.Disconnect("exproto\x00test", broker.ReasonAdministrative) {
		t.Fatal("there is no such client")
	}
	d.closed()
	if e := s.h.wait(t, "closed", 1); e.reason != "kicked" {
		t.Errorf("%v", e)
	}
}

func TestWhatIsSentBeforeTheEndStillCounts(t *testing.T) {
	release := make(chan struct{})
	h := &handler{do: func(h *handler, e told) error {
		switch e.what {
		case "created":
			return h.login(e.conn, "dev")
		case "bytes":
			<-release
			return errors.Join(h.publish(e.conn, "up", e.bytes), h.send(e.conn, "got "+e.bytes))
		}
		return nil
	}}
	s := start(t, options{handler: h})
	w := s.watch("up")
	d := s.device()
	until(t, "it is known", func() bool { return s.b.Stats().Connected.Load() == 2 })
	d.send("last words")
	if err := d.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	conn := h.wait(t, "bytes", 1).conn
	until(t, "the end has been read", func() bool { return h.startTimer(conn, 60) != nil })
	close(release)
	w.expect(t, "up", "last words")
	if got := d.closed(); got != "got last words" { // it still reads
		t.Errorf("answered %q", got)
	}
	h.wait(t, "closed", 1)
	if got := kinds(h.all("")); got != `created, bytes "last words", closed peer_closed` {
		t.Errorf("told: %s", got)
	}
}

func TestBatches(t *testing.T) {
	for _, c := range []struct {
		max, messages int
		want          []int
	}{
		{1, 3, []int{1, 1, 1}},
		{100, 250, []int{100, 100, 50}},
		{250, 250, []int{250}},
	} {
		t.Run(fmt.Sprint(c.max), func(t *testing.T) {
			release := make(chan struct{})
			h := &handler{do: func(h *handler, e told) error {
				switch e.what {
				case "created":
					return errors.Join(h.login(e.conn, "dev"), h.subscribe(e.conn, "t", 1))
				case "bytes":
					<-release
				}
				return nil
			}}
			s := start(t, options{handler: h, gateway: exproto.Config{MaxBatch: c.max}})
			s.device().send("x")
			h.wait(t, "bytes", 1)
			for i := range c.messages {
				s.publish("t", fmt.Sprint(i), 1)
			}
			close(release)
			h.wait(t, "messages", len(c.want))
			n := 0
			for i, size := range c.want {
				e := h.wait(t, "messages", i+1)
				if len(e.messages) != size {
					t.Errorf("batch %d has %d messages, want %d", i, len(e.messages), size)
				}
				for _, m := range e.messages {
					if string(m.Payload) != fmt.Sprint(n) {
						t.Fatalf("message %d is %q", n, m.Payload)
					}
					n++
				}
			}
		})
	}
}
