package limits

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rate(s string) transport.Rate {
	r, err := transport.ParseRate(s)
	if err != nil {
		panic(err)
	}
	return r
}

func begin(t *testing.T, c Config) (url string, l *proxytest.Listener) {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l = proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Stages = []proxy.Factory{f} })
	return proxytest.URL(e), l
}

func join(t *testing.T, c Config, v mqtt.Version) (client, broker *proxytest.Peer, told mqtt.Connack) {
	t.Helper()
	url, l := begin(t, c)
	client = proxytest.Dial(t, url, v)
	client.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
	broker, _ = l.Welcome(v)
	told, _ = client.Next().(mqtt.Connack)
	return client, broker, told
}

func expect[P mqtt.Packet](t *testing.T, from *proxytest.Peer, want P) {
	t.Helper()
	got := from.Next()
	if diff := cmp.Diff(mqtt.Packet(want), got, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func message(qos uint8, id uint16) mqtt.Publish {
	return mqtt.Publish{Topic: []byte("a"), QoS: qos, PacketID: id}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	f, err := New(Config{ConnectionsPerAddress: 1})
	if err != nil {
		t.Fatal(err)
	}
	e := proxytest.Start(t, proxytest.Broker(t), func(c *proxy.Config) { c.Stages = []proxy.Factory{f} })
	code := func(p *proxytest.Peer) mqtt.ReasonCode {
		p.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		ack, ok := p.Next().(mqtt.Connack)
		if !ok {
			t.Fatal("no CONNACK")
		}
		return ack.Code
	}
	first := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
	if got := code(first); got != mqtt.Success {
		t.Fatal(got)
	}
	for v, want := range map[mqtt.Version]mqtt.ReasonCode{mqtt.V5: mqtt.QuotaExceeded, mqtt.V311: mqtt.V3ServerUnavailable} {
		second := proxytest.Dial(t, proxytest.URL(e), v)
		if got := code(second); got != want {
			t.Fatal(got)
		}
		second.Closed()
	}
	first.Send(mqtt.Disconnect{})
	first.Closed()
	_ = first.Close()
	for deadline := time.Now().Add(proxytest.Limit); ; { // for the end of the first to be noticed
		next := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		got := code(next)
		_ = next.Close()
		if got == mqtt.Success {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a connection that has ended is not free")
		}
	}
}

func TestConnectRate(t *testing.T) {
	for _, c := range []Config{
		{ConnectRate: Rate{Rate: rate("1/1h"), Over: Disconnect}},
		{ConnectRatePerAddress: Rate{Rate: rate("1/1h"), Over: Disconnect}},
	} {
		url, l := begin(t, c)
		first := proxytest.Dial(t, url, mqtt.V5)
		first.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		l.Welcome(mqtt.V5)
		expect(t, first, mqtt.Connack{})
		second := proxytest.Dial(t, url, mqtt.V5)
		second.Send(mqtt.Connect{ClientID: "d", CleanStart: true})
		if got, ok := second.Next().(mqtt.Connack); !ok || got.Code != mqtt.ConnectionRateExceeded {
			t.Fatalf("%+v", got)
		}
	}
}

func TestMessagesAboveTheRateAreDropped(t *testing.T) {
	drop := Config{Publish: Flow{Messages: Rate{Rate: rate("1/1h"), Over: Drop}}}
	client, broker, _ := join(t, drop, mqtt.V5)
	client.Send(message(1, 1))
	expect(t, broker, message(1, 1))
	client.Send(message(1, 2))
	expect(t, client, mqtt.Puback{PacketID: 2, Code: mqtt.QuotaExceeded})
	client.Send(message(2, 3))
	expect(t, client, mqtt.Pubrec{PacketID: 3, Code: mqtt.QuotaExceeded})

	client, broker, _ = join(t, drop, mqtt.V311)
	client.Send(message(0, 0))
	expect(t, broker, message(0, 0))
	client.Send(message(2, 3))
	expect(t, client, mqtt.Pubrec{PacketID: 3})
	client.Send(mqtt.Pubrel{PacketID: 3})
	expect(t, client, mqtt.Pubcomp{PacketID: 3})
}

func TestWhatEndsTheConnection(t *testing.T) {
	large := message(0, 0)
	large.Payload = bytes.Repeat([]byte("x"), 200)
	for name, tt := range map[string]struct {
		c    Flow
		send []mqtt.Publish
		want mqtt.ReasonCode
	}{
		"messages":    {Flow{Messages: Rate{Rate: rate("1/1h"), Over: Disconnect}}, []mqtt.Publish{message(0, 0), message(0, 0)}, mqtt.MessageRateTooHigh},
		"bytes":       {Flow{Bytes: Rate{Rate: rate("100/1h"), Over: Disconnect}}, []mqtt.Publish{large, message(0, 0)}, mqtt.MessageRateTooHigh},
		"packet size": {Flow{PacketSize: Size{MostBytes: 100, Over: Disconnect}}, []mqtt.Publish{large}, mqtt.PacketTooLarge},
		"in flight":   {Flow{InFlight: Count{Most: 1, Over: Disconnect}}, []mqtt.Publish{message(1, 1), message(1, 2)}, mqtt.ReceiveMaximumExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			client, _, _ := join(t, Config{Publish: tt.c}, mqtt.V5)
			for _, p := range tt.send {
				client.Send(p)
			}
			if got, ok := client.Next().(mqtt.Disconnect); !ok || got.Code != tt.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestPacketsThatAreTooLargeAreDropped(t *testing.T) {
	c := Config{Publish: Flow{PacketSize: Size{MostBytes: 100}}, Deliver: Flow{PacketSize: Size{MostBytes: 100}}}
	client, broker, told := join(t, c, mqtt.V5)
	if n, _ := told.Properties.Uint32(mqtt.PropMaximumPacketSize); n != 100 {
		t.Errorf("%+v", told)
	}
	large := message(1, 1)
	large.Payload = bytes.Repeat([]byte("x"), 200)
	client.Send(large)
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.QuotaExceeded})
	broker.Send(large)
	expect(t, broker, mqtt.Puback{PacketID: 1})
}

func TestMessagesInFlightWaitTheirTurn(t *testing.T) {
	client, broker, told := join(t, Config{Publish: Flow{InFlight: Count{Most: 2}}, Deliver: Flow{InFlight: Count{Most: 1}}}, mqtt.V5)
	if n, _ := told.Properties.Uint16(mqtt.PropReceiveMaximum); n != 2 {
		t.Errorf("%+v", told)
	}
	for id := uint16(1); id <= 4; id++ {
		client.Send(message(2, id))
	}
	client.Send(mqtt.Pingreq{})
	expect(t, broker, message(2, 1))
	expect(t, broker, message(2, 2))
	expect(t, broker, mqtt.Pingreq{})
	broker.Send(mqtt.Pubrec{PacketID: 1}) // not the end yet
	broker.Send(mqtt.Pubcomp{PacketID: 1})
	expect(t, broker, message(2, 3))
	broker.Send(mqtt.Pubrec{PacketID: 2, Code: mqtt.QuotaExceeded})
	expect(t, broker, message(2, 4))
	expect(t, client, mqtt.Pubrec{PacketID: 1})
	expect(t, client, mqtt.Pubcomp{PacketID: 1})
	expect(t, client, mqtt.Pubrec{PacketID: 2, Code: mqtt.QuotaExceeded})

	broker.Send(message(1, 1))
	broker.Send(message(1, 2))
	expect(t, client, message(1, 1))
	client.Send(mqtt.Puback{PacketID: 1})
	expect(t, client, message(1, 2))
}

// alone is a stage without an engine.
func alone(t *testing.T, c Config, v mqtt.Version) *stage {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Open(&proxy.Conn{Version: v, Metrics: &proxy.Metrics{}})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*stage)
}

func frame(t *testing.T, d proxy.Direction, p mqtt.Packet, v mqtt.Version) proxy.Frame {
	t.Helper()
	b, err := p.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	f, err := proxy.NewFrame(d, b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDelayKeepsToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := alone(t, Config{
			ConnectRate: Rate{Rate: rate("1/15s")},
			Publish:     Flow{Messages: Rate{Rate: rate("2/1s")}, Bytes: Rate{Rate: rate("100/1s")}},
		}, mqtt.V311)
		began := time.Now()
		emit := func(proxy.Frame) error { return nil }
		send := func(p mqtt.Packet) time.Duration {
			t.Helper()
			if err := s.Handle(t.Context(), frame(t, proxy.ToServer, p, mqtt.V311), emit); err != nil {
				t.Fatal(err)
			}
			return time.Since(began).Round(10 * time.Millisecond)
		}
		connect := mqtt.Connect{ClientID: "c", CleanStart: true}
		for i, want := range []time.Duration{0, 15 * time.Second} {
			if got := send(connect); got != want {
				t.Errorf("CONNECT %d after %v, want %v", i, got, want)
			}
		}
		time.Sleep(time.Hour)
		began = time.Now()
		for i, want := range []time.Duration{0, 0, 500 * time.Millisecond, time.Second} {
			if got := send(message(0, 0)); got != want {
				t.Errorf("message %d after %v, want %v", i, got, want)
			}
		}
		time.Sleep(time.Hour)
		began = time.Now()
		large := message(0, 0)
		large.Payload = bytes.Repeat([]byte("x"), 300)
		send(large)
		if got := send(message(0, 0)); got < 2*time.Second || got > 2100*time.Millisecond {
			t.Errorf("%v after a packet of 305 bytes at 100 bytes a second", got)
		}
	})
}

// Whose client has given up must not use up the turns of others.
func TestACONNECTDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := alone(t, Config{ConnectRate: Rate{Rate: rate("1/1h")}}, mqtt.V5)
		began := time.Now()
		connect := frame(t, proxy.ToServer, mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.V5)
		var passed []mqtt.Type
		emit := func(f proxy.Frame) error { passed = append(passed, f.Header.Type); return nil }
		if err := s.Handle(t.Context(), connect, emit); err != nil {
			t.Fatal(err)
		}
		var end *proxy.End
		if err := s.Handle(t.Context(), connect, emit); !errors.As(err, &end) || time.Since(began) != maxConnectWait {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if diff := cmp.Diff([]mqtt.Type{mqtt.TypeConnect, mqtt.TypeConnack}, passed); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnAddressThatComesTooOftenTakesNoTurnsFromOthers(t *testing.T) {
	for _, over := range []string{Disconnect, Delay} {
		synctest.Test(t, func(t *testing.T) {
			f, err := New(Config{
				ConnectRate:           Rate{Rate: rate("10/1h"), Over: Disconnect},
				ConnectRatePerAddress: Rate{Rate: rate("1/1h"), Over: over},
			})
			if err != nil {
				t.Fatal(err)
			}
			come := func(from string) error {
				c := &proxy.Conn{Version: mqtt.V5, Metrics: &proxy.Metrics{}}
				c.Client.Remote = netip.MustParseAddrPort(from + ":1")
				s, err := f.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				connect := frame(t, proxy.ToServer, mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.V5)
				return s.Handle(t.Context(), connect, func(proxy.Frame) error { return nil })
			}
			for range 20 {
				_ = come("192.0.2.1")
			}
			if err := come("192.0.2.2"); err != nil {
				t.Errorf("%s: %v", over, err)
			}
		})
	}
}

func TestTimeThatAMessageIsHeldBackCountsAgainstItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := alone(t, Config{Publish: Flow{InFlight: Count{Most: 1}}}, mqtt.V5)
		var out []mqtt.Packet
		emit := func(f proxy.Frame) error {
			p, _, err := mqtt.Parse(bytes.Clone(f.Bytes), proxy.Options(f.Direction, mqtt.V5))
			out = append(out, p)
			return err
		}
		handle := func(d proxy.Direction, p mqtt.Packet) {
			t.Helper()
			if err := s.Handle(t.Context(), frame(t, d, p, mqtt.V5), emit); err != nil {
				t.Fatal(err)
			}
		}
		expiring := func(id uint16, seconds uint32) mqtt.Publish {
			p := message(1, id)
			p.Properties = p.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, seconds)
			return p
		}
		handle(proxy.ToServer, message(1, 1))
		handle(proxy.ToServer, expiring(2, 5))
		handle(proxy.ToServer, expiring(3, 60))
		time.Sleep(10 * time.Second)
		out = nil
		handle(proxy.ToClient, mqtt.Puback{PacketID: 1})
		want := []mqtt.Packet{mqtt.Puback{PacketID: 1}, mqtt.Puback{PacketID: 2}, expiring(3, 50)}
		if diff := cmp.Diff(want, out, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestAddressesAreForgotten(t *testing.T) {
	f, err := New(Config{ConnectRatePerAddress: Rate{Rate: rate("1/1s")}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxAddresses + 10 {
		a := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		s := &stage{f: f}
		if err := f.enter(s, keyOf(a), time.Now()); err != nil {
			t.Fatal(err)
		}
		f.leave(s.key)
	}
	if n := len(f.addresses); n > maxAddresses {
		t.Errorf("%d addresses are known", n)
	}
	if a, b := keyOf(netip.MustParseAddr("2001:db8::1")), keyOf(netip.MustParseAddr("2001:db8::2")); a != b {
		t.Errorf("%v and %v are of one network", a, b)
	}
}

func TestConfigNamesItsProblems(t *testing.T) {
	err := Config{
		ConnectionsPerAddress: -1, ConnectRate: Rate{Over: Drop},
		Publish: Flow{Messages: Rate{Over: "x"}, PacketSize: Size{MostBytes: -1, Over: Delay}},
		Deliver: Flow{InFlight: Count{Most: 1 << 20}},
	}.Validate()
	for _, want := range []string{
		"connections_per_address:", "connect_rate.over:", "publish.messages.over:", "publish.packet_size.over:", "publish.packet_size.most_bytes:",
		"deliver.in_flight.most:",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if f, err := New(Config{}); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
}
