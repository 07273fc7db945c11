package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// listen is a broker that does to each connection what serve says.
func listen(t *testing.T, scheme string, serve func(net.Conn)) transport.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = c.Close() })
			go func() {
				serve(c)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		<-done
	})
	e, err := transport.Parse(scheme+"://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var connack = []byte{0x20, 2, 0, 0}

// A broker that stops reading does not stop the run, and holds up nobody else.
func TestBrokerStopsReading(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}
	for _, scheme := range []string{"mqtt", "mqtts"} {
		hold := make(chan struct{})
		t.Cleanup(func() { close(hold) })
		turns := make(chan bool, 2)
		turns <- true
		turns <- false
		e := listen(t, scheme, func(c net.Conn) {
			if scheme == "mqtts" {
				c = tls.Server(c, cfg)
			}
			_, _ = c.Write(connack)
			if <-turns {
				<-hold
			}
			_, _ = io.Copy(io.Discard, c)
		})
		begun := time.Now()
		f, err := Run(t.Context(), Options{
			Spec: Pub(), Endpoint: e, Dial: transport.DialConfig{TLS: &transport.ClientTLS{RootCAs: ca.Pool()}},
			Plan: Plan{Clients: 2, Drivers: 1, Size: 16 << 10, Rate: 2000, Duration: time.Second},
		})
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		if f.Ended != "complete" || f.Account.Unsent == 0 || time.Since(begun) > 2*time.Minute {
			t.Errorf("%s: %s, %+v", scheme, f.Ended, f.Account)
		}
		if n := f.Account.Sum().Sent; n < 1000 {
			t.Errorf("%s: only %d were sent, and one client has 1000", scheme, n)
		}
	}
}

// What a broker sends is bounded by what may come of this plan, and what it does
// not read, too.
func TestBrokerSendsTooMuch(t *testing.T) {
	flood := func(packet []byte) func(net.Conn) {
		return func(c net.Conn) {
			b := make([]byte, 1<<10)
			_, _ = c.Read(b) // CONNECT
			_, _ = c.Write(connack)
			_, _ = c.Read(b) // PINGREQ
			for {
				if _, err := c.Write(packet); err != nil {
					return
				}
			}
		}
	}
	small, err := mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1}.Append(nil, mqtt.V311)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		packet []byte
		want   string
	}{
		"a huge packet":           {append([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 1<<20)...), "limit"},
		"acknowledges are unread": {[]byte(strings.Repeat(string(small), 10_000)), "not read"},
	} {
		var events []string
		ctx, cancel := context.WithCancel(t.Context())
		f, err := Run(ctx, Options{
			Spec: Conn(), Endpoint: listen(t, "mqtt", flood(tc.packet)),
			Plan: Plan{Clients: 1, KeepAlive: 1, Duration: time.Minute, Sampling: 50 * time.Millisecond, Drain: -1},
			Watch: func(record any) {
				switch r := record.(type) {
				case *Event:
					events = append(events, r.Text)
				case *Interval:
					if r.Counters.Disconnects > 0 {
						cancel()
					}
				}
			},
		})
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if f.Total.Disconnects != 1 || !strings.Contains(strings.Join(events, "\n"), tc.want) {
			t.Errorf("%s: %+v, %q", name, f.Total, events)
		}
	}
}

// A session that goes on knows what it has received at QoS 2: the broker, which
// has not heard of it, sends it again, and it is not delivered twice.
func TestExactlyOnceAcrossConnections(t *testing.T) {
	publish := func(seq uint16, dup bool) []byte {
		st := stamp{run: 1, stream: 7, seq: uint64(seq)}
		payload := make([]byte, 64)
		st.put(payload)
		b, err := mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: seq, Dup: dup, Payload: payload}.Append(nil, mqtt.V311)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	for _, present := range []byte{0, 1} {
		first := make(chan bool, 2)
		first <- true
		first <- false
		e := listen(t, "mqtt", func(c net.Conn) {
			b := make([]byte, 1<<10)
			_, _ = c.Read(b)
			if again := !<-first; again {
				_, _ = c.Write(slices.Concat([]byte{0x20, 2, present, 0}, publish(1, true), publish(2, false)))
			} else {
				_, _ = c.Write(slices.Concat(connack, publish(1, false)))
			}
			_, _ = io.Copy(io.Discard, c)
		})
		f, err := Run(t.Context(), Options{
			Spec: Spec{Name: "back", New: func() Scenario { return back{} }}, Endpoint: e,
			Plan: Plan{Duration: 100 * time.Millisecond, Drain: -1, Persistent: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := f.Total.Received, int64(3-present); got != want {
			t.Errorf("session present %d: received %d, want %d", present, got, want)
		}
	}
}

// back breaks off after message 1, and is there again until message 2.
type back struct{}

func (back) Open(ctx context.Context, s *Session) (Load, error) {
	came := make(chan uint64, 3)
	o := s.clientOptions(0)
	o.Receives = true
	o.OnArrive = func(_, payload []byte, _, _ int64) {
		var st stamp
		st.parse(payload, 0)
		came <- st.seq
	}
	c, err := s.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	<-came
	c.Cut()
	o.account, o.held = c.sub, c.held
	if _, err = s.Connect(ctx, o); err != nil {
		return nil, err
	}
	for seq := range came {
		if seq == 2 {
			break
		}
	}
	return idle{}, nil
}

// A refusal is the reason also where the broker closes the connection at once.
func TestRefusedAndClosed(t *testing.T) {
	for _, c := range []struct {
		answer []byte
		reason string
	}{
		{[]byte{0x20, 2, 0, 5}, "refused in CONNACK: Not authorized"},
		{nil, "closed before CONNACK: EOF"},
	} {
		e := listen(t, "mqtt", func(conn net.Conn) {
			b := make([]byte, 1024)
			_, _ = conn.Read(b) // CONNECT
			_, _ = conn.Write(c.answer)
			_ = conn.Close()
		})
		f, err := Run(t.Context(), Options{Spec: Conn(), Endpoint: e, Plan: Plan{Clients: 50, Duration: time.Second}})
		if !errors.Is(err, ErrNobody) || !strings.HasSuffix(err.Error(), c.reason) {
			t.Errorf("%v, want %q", err, c.reason)
		}
		if f != nil && (f.Total.ConnectFails != 50 || f.Total.Disconnects != 0) {
			t.Errorf("%q: %d failed, %d lost", c.reason, f.Total.ConnectFails, f.Total.Disconnects)
		}
	}
}
