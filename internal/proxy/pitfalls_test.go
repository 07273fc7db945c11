package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

// passing is a stage that changes nothing: connections with it have goroutines, those
// without are on a relay.
type passing struct{}

func (passing) Open(*proxy.Conn) (proxy.Stage, error) { return passing{}, nil }

func (passing) Handle(_ context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	return emit(f)
}

// onBothWays runs a test on a relay and on goroutines.
func onBothWays(t *testing.T, run func(t *testing.T, change func(*proxy.Config))) {
	t.Run("relay", func(t *testing.T) { run(t, func(*proxy.Config) {}) })
	t.Run("goroutines", func(t *testing.T) {
		run(t, func(c *proxy.Config) { c.Stages = append(c.Stages, passing{}) })
	})
}

// with is several changes, one after the other.
func with(changes ...func(*proxy.Config)) func(*proxy.Config) {
	return func(c *proxy.Config) {
		for _, change := range changes {
			change(c)
		}
	}
}

// pair is a client and its connection at a broker that the test plays.
func pair(t *testing.T, v mqtt.Version, change func(*proxy.Config)) (client, server *proxytest.Peer) {
	t.Helper()
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), change)
	client = proxytest.Dial(t, proxytest.URL(e), v)
	client.Send(mqtt.Connect{ClientID: "pair", CleanStart: true, KeepAlive: 600})
	server, _ = l.Welcome(v)
	if ack, ok := client.Next().(mqtt.Connack); !ok || ack.Code != mqtt.Success {
		t.Fatalf("%+v", ack)
	}
	return client, server
}

// undialed fails the test when the proxy has dialed.
func undialed(t *testing.T, l *proxytest.Listener) {
	t.Helper()
	if n := l.Counters().Accepted; n != 0 {
		t.Errorf("the proxy has dialed %d times", n)
	}
}

func encode(t *testing.T, p mqtt.Packet, v mqtt.Version) []byte {
	t.Helper()
	b, err := p.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBrokerIsDialedAfterTheWholeConnect(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), change)
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		will := &mqtt.Will{Topic: "gone", Payload: []byte(strings.Repeat("x", 1000)), Properties: mqtt.Properties{}.AppendUserProperty("a", strings.Repeat("b", 300))}
		whole := encode(t, mqtt.Connect{ClientID: strings.Repeat("long", 50), Will: will, HasUsername: true, Username: "u"}, mqtt.V5)
		for i := range whole[:len(whole)-1] {
			c.Raw(whole[i : i+1])
		}
		undialed(t, l)
		c.Raw(whole[len(whole)-1:])
		_, got := l.Welcome(mqtt.V5)
		if got.ClientID != strings.Repeat("long", 50) || string(got.Will.Payload) != string(will.Payload) {
			t.Errorf("the CONNECT came as %+v", got)
		}
		if _, ok := c.Next().(mqtt.Connack); !ok {
			t.Error("no CONNACK")
		}
	})
}

func TestSlowConnectEndsWithoutABroker(t *testing.T) {
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.ConnectTimeout = 50 * time.Millisecond })
	c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
	_, _ = c.Write([]byte{0x10, 0x20, 0x00}) // which may come too late already
	_ = c.End()
	undialed(t, l)
}

func TestWhatIsNoConnectEndsWithoutABroker(t *testing.T) {
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), nil)
	for name, b := range map[string][]byte{
		"TLS":                   []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"HTTP":                  []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a PROXY header":        []byte("PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n"),
		"a PUBLISH":             {0x30, 0x04, 0x00, 0x01, 'a', 'b'},
		"zeros":                 make([]byte, 100),
		"a length of 5 bytes":   {0x10, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"CONNECT of 256 MB":     {0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, 'M', 'Q', 'T', 'T', 4},
		"CONNECT cut by itself": {0x10, 0x02, 0x00, 0x04},
	} {
		t.Run(name, func(t *testing.T) {
			c := proxytest.Dial(t, proxytest.URL(e), mqtt.V311)
			c.Raw(b)
			_ = c.End() // in which way depends on what was not read
		})
	}
	undialed(t, l)
}

func TestBadConnectIsRefusedByTheRightCode(t *testing.T) {
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.ConnectBytes = 1000 })
	for _, tc := range []struct {
		name string
		v    mqtt.Version
		b    []byte
		code mqtt.ReasonCode
	}{
		{"5.0, reserved flag", mqtt.V5, []byte("\x10\x0d\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x00"), mqtt.MalformedPacket},
		{"5.0, too large", mqtt.V5, []byte("\x10\xff\x7f\x00\x04MQTT\x05\x02\x00\x3c\x00"), mqtt.PacketTooLarge},
		{"level 6", mqtt.V311, []byte("\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a"), mqtt.V3UnacceptableProtocolVersion},
		{"3.1.1, no client identifier and no clean session", mqtt.V311, []byte("\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00"), mqtt.V3IdentifierRejected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := proxytest.Dial(t, proxytest.URL(e), tc.v)
			c.Raw(tc.b)
			ack, ok := c.Next().(mqtt.Connack)
			if !ok || ack.Code != tc.code {
				t.Errorf("CONNACK %v, want %v", ack.Code, tc.code)
			}
			c.Closed()
		})
	}
	undialed(t, l)
}

// closedPort is the URL of a port that nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "mqtt://" + l.Addr().String()
}

func TestUnreachableBrokerIsToldByConnack(t *testing.T) {
	e := proxytest.Start(t, closedPort(t), nil)
	for v, code := range map[mqtt.Version]mqtt.ReasonCode{mqtt.V31: mqtt.V3ServerUnavailable, mqtt.V311: mqtt.V3ServerUnavailable, mqtt.V5: mqtt.ServerUnavailable} {
		c := proxytest.Dial(t, proxytest.URL(e), v)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		if ack, ok := c.Next().(mqtt.Connack); !ok || ack.Code != code {
			t.Errorf("MQTT %v: %v, want %v", v, ack.Code, code)
		}
		c.Closed()
	}
}

func TestSilentBrokerIsToldByConnack(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), with(change, func(c *proxy.Config) { c.AnswerTimeout = 50 * time.Millisecond }))
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		if ack, ok := c.Next().(mqtt.Connack); !ok || ack.Code != mqtt.ServerUnavailable {
			t.Errorf("%+v", ack)
		}
		c.Closed()
		s := l.Next(mqtt.V5)
		if _, ok := s.Next().(mqtt.Connect); !ok {
			t.Error("no CONNECT")
		}
		_ = s.End()
	})
}

func TestPacketsBeforeConnackWaitForIt(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), change)
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V311)
		all := encode(t, mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.V311)
		all = append(all, encode(t, mqtt.Publish{Topic: []byte("a"), Payload: []byte("1")}, mqtt.V311)...)
		all = append(all, encode(t, mqtt.Publish{Topic: []byte("a"), Payload: []byte("2")}, mqtt.V311)...)
		c.Raw(all[:len(all)-1])
		s := l.Next(mqtt.V311)
		if _, ok := s.Next().(mqtt.Connect); !ok {
			t.Fatal("no CONNECT")
		}
		s.Send(mqtt.Connack{})
		c.Raw(all[len(all)-1:])
		for _, want := range []string{"1", "2"} {
			if p, ok := s.Next().(mqtt.Publish); !ok || string(p.Payload) != want {
				t.Errorf("%+v, want %q", p, want)
			}
		}
	})
}

func TestAuthPacketsPassBeforeConnack(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), change)
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		method := mqtt.Properties{}.AppendString(mqtt.PropAuthenticationMethod, "steps")
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true, Properties: method})
		s := l.Next(mqtt.V5)
		s.Next()
		for range 3 {
			s.Send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: method})
			if _, ok := c.Next().(mqtt.Auth); !ok {
				t.Fatal("no AUTH of the broker")
			}
			c.Send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: method})
			if _, ok := s.Next().(mqtt.Auth); !ok {
				t.Fatal("no AUTH of the client")
			}
		}
		s.Send(mqtt.Connack{})
		if _, ok := c.Next().(mqtt.Connack); !ok {
			t.Error("no CONNACK")
		}
	})
}

func TestMalformedPacketIsToldToBothSides(t *testing.T) {
	second := encode(t, mqtt.Connect{ClientID: "again"}, mqtt.V5)
	for _, tc := range []struct {
		name string
		b    []byte
		code mqtt.ReasonCode
	}{
		{"QoS 3", []byte{0x36, 0x06, 0x00, 0x01, 'a', 0x00, 0x01, 0x00}, mqtt.MalformedPacket},
		{"type 0", []byte{0x00, 0x00}, mqtt.MalformedPacket},
		{"a second CONNECT", second, mqtt.ProtocolError},
		{"SUBACK of a client", []byte{0x90, 0x04, 0x00, 0x01, 0x00, 0x00}, mqtt.ProtocolError},
		{"flags of SUBSCRIBE", []byte{0x80, 0x07, 0x00, 0x01, 0x00, 0x00, 0x01, 'a', 0x00}, mqtt.MalformedPacket},
		{"a length of five bytes", []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, mqtt.MalformedPacket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
				c, s := pair(t, mqtt.V5, change)
				c.Send(mqtt.Publish{Topic: []byte("before")})
				c.Raw(tc.b)
				if d, ok := c.Next().(mqtt.Disconnect); !ok || d.Code != tc.code {
					t.Errorf("the client is told %+v, want %v", d, tc.code)
				}
				c.Closed()
				if p, ok := s.Next().(mqtt.Publish); !ok || string(p.Topic) != "before" {
					t.Error("what was right before has not arrived")
				}
				packet, err := s.Read1()
				if d, ok := packet.(mqtt.Disconnect); err == nil && (!ok || d.Code != tc.code) {
					t.Errorf("the broker is told %+v, %v, want %v", packet, err, tc.code)
				}
				_ = s.End()
			})
		})
	}
}

func TestMalformedPacketOf311EndsInSilence(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		c, s := pair(t, mqtt.V311, change)
		c.Raw([]byte{0xf0, 0x00})
		c.Closed()
		s.Closed()
	})
}

func TestBrokenBrokerIsToldToTheClient(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		c, s := pair(t, mqtt.V5, change)
		s.Raw([]byte{0xc0, 0x00}) // PINGREQ
		if d, ok := c.Next().(mqtt.Disconnect); !ok || d.Code != mqtt.ProtocolError {
			t.Errorf("%+v", d)
		}
		c.Closed()
	})
}

func TestClientThatIsSilentBeyondItsKeepAliveIsGone(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), with(change, func(c *proxy.Config) { c.KeepAliveSlack = time.Nanosecond }))
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true, KeepAlive: 600})
		s := l.Next(mqtt.V5)
		s.Next()
		s.Send(mqtt.Connack{Properties: mqtt.Properties{}.AppendUint16(mqtt.PropServerKeepAlive, 1)}) // overrides the client's
		c.Next()
		if d, ok := c.Next().(mqtt.Disconnect); !ok || d.Code != mqtt.KeepAliveTimeout {
			t.Errorf("%+v", d)
		}
		c.Closed()
		s.Closed() // without DISCONNECT: the will is published
	})
}

func TestHalfClosedConnectionGoesOnInTheOtherDirection(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		c, s := pair(t, mqtt.V311, change)
		c.Send(mqtt.Publish{Topic: []byte("last")})
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if p, ok := s.Next().(mqtt.Publish); !ok || string(p.Topic) != "last" {
			t.Error("the last message is missing")
		}
		s.Closed()
		for range 100 {
			s.Send(mqtt.Publish{Topic: []byte("still"), Payload: make([]byte, 10_000)})
		}
		_ = s.Close()
		for range 100 {
			if p, ok := c.Next().(mqtt.Publish); !ok || len(p.Payload) != 10_000 {
				t.Fatal("a message is missing")
			}
		}
		c.Closed()
	})
}

func TestHalfOpenConnectionEndsAfterItsTime(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		c, s := pair(t, mqtt.V311, with(change, func(c *proxy.Config) { c.HalfClosed = 20 * time.Millisecond }))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		s.Closed()
		c.Closed() // though the broker keeps its side open
	})
}

// fill writes until the other side takes nothing more, and returns how much it took,
// and what is left of the last packet.
func fill(t *testing.T, p *proxytest.Peer) (total int, rest []byte) {
	t.Helper()
	packet := encode(t, mqtt.Publish{Topic: []byte("much"), Payload: make([]byte, 64<<10)}, mqtt.V311)
	for {
		_ = p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := p.Write(packet[total%len(packet):])
		total += n
		if errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
			return total, packet[total%len(packet):]
		}
		if err != nil {
			t.Fatal(err)
		}
		if total > 256<<20 {
			t.Fatal("256 MB are buffered")
		}
	}
}

func TestSideThatDoesNotReadHoldsUpTheOther(t *testing.T) {
	for _, toClient := range []bool{false, true} {
		onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
			writer, reader := pair(t, mqtt.V311, change)
			if toClient {
				writer, reader = reader, writer
			}
			total, rest := fill(t, writer)
			if total > 32<<20 {
				t.Errorf("%d bytes are on the way to a side that does not read", total)
			}
			total += len(rest)
			written := make(chan error, 1)
			go func() {
				_ = writer.SetWriteDeadline(time.Now().Add(proxytest.Limit))
				_, err := writer.Write(rest)
				written <- err
			}()
			b := make([]byte, 1<<20)
			for got := 0; got < total; { // and nothing is lost
				n, err := reader.Conn.Read(b)
				if err != nil {
					t.Fatalf("after %d of %d bytes: %v", got, total, err)
				}
				got += n
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSideThatDoesNotReadIsHeardNevertheless(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		c, s := pair(t, mqtt.V311, change)
		fill(t, s)
		for i := range 5 {
			c.Send(mqtt.Publish{Topic: []byte("t"), Payload: []byte{byte(i)}})
			if p, ok := s.Next().(mqtt.Publish); !ok || p.Payload[0] != byte(i) {
				t.Fatalf("message %d: %+v", i, p)
			}
		}
	})
}

func TestSideThatTakesNothingEndsTheConnection(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		c, s := pair(t, mqtt.V311, with(change, func(c *proxy.Config) { c.SendTimeout = 100 * time.Millisecond }))
		packet := encode(t, mqtt.Publish{Topic: []byte("much"), Payload: make([]byte, 64<<10)}, mqtt.V311)
		_ = s.SetWriteDeadline(time.Now().Add(proxytest.Limit))
		var err error
		for err == nil {
			_, err = s.Write(packet)
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Error("the connection does not end")
		}
		_ = c
	})
}

func TestStopSaysNothingForTheClient(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e, stop := proxytest.Run(t, l.URL(), change)
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		s, _ := l.Welcome(mqtt.V5)
		c.Next()
		go stop()
		c.Closed()
		s.Closed()
	})
}

func TestFarewellTellsTheClientAlone(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e, stop := proxytest.Run(t, l.URL(), with(change, func(c *proxy.Config) { c.Farewell = true }))
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		s, _ := l.Welcome(mqtt.V5)
		c.Next()
		go stop()
		if d, ok := c.Next().(mqtt.Disconnect); !ok || d.Code != mqtt.ServerShuttingDown {
			t.Errorf("%+v", d)
		}
		c.Closed()
		s.Closed()
	})
}

func TestResetPassesThroughTransparentProxy(t *testing.T) {
	l := proxytest.Listen(t, "tcp://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Transparent = true })
	c := proxytest.Dial(t, proxytest.URL(e), mqtt.V311)
	c.Raw([]byte("any protocol"))
	s := l.Next(mqtt.V311)
	b := make([]byte, 12)
	if _, err := io.ReadFull(s.Conn, b); err != nil || string(b) != "any protocol" {
		t.Fatalf("%q, %v", b, err)
	}
	_ = transport.Abort(c.Conn, "test")
	if _, err := s.Conn.Read(b); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the other side sees %v, want a reset", err)
	}
}
