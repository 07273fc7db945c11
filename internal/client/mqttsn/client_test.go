package mqttsn

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// gateway is one that the test plays, on a socket of its own.
type gateway struct {
	t    *testing.T
	sock *net.UDPConn
	peer net.Addr
	seen map[string]bool // what has come, without DUP
	// forgiving skips what comes again: the repetitions of a slow test.
	forgiving bool
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	return &gateway{t: t, sock: sock, seen: map[string]bool{}}
}

func (g *gateway) url() string { return "mqttsn://" + g.sock.LocalAddr().String() }

// receive is the next datagram.
func (g *gateway) receive() string {
	g.t.Helper()
	buf := make([]byte, 1<<16)
	_ = g.sock.SetReadDeadline(time.Now().Add(patience))
	n, from, err := g.sock.ReadFrom(buf)
	if err != nil {
		g.t.Fatal(err)
	}
	g.peer = from
	return hex.EncodeToString(buf[:n])
}

// want expects these datagrams, one after the other.
func (g *gateway) want(words ...string) *gateway {
	g.t.Helper()
	for _, w := range words {
		w = strings.ReplaceAll(w, ".", "")
		got := g.receive()
		for g.forgiving && g.seen[got] && got != w {
			got = g.receive()
		}
		g.seen[got] = true
		if got != w {
			g.t.Fatalf("received %s, want %s", got, w)
		}
	}
	return g
}

// skip reads until a datagram has come: whatever else does is of no interest.
func (g *gateway) skip(to string) *gateway {
	g.t.Helper()
	for g.receive() != strings.ReplaceAll(to, ".", "") {
	}
	return g
}

func (g *gateway) send(words ...string) *gateway {
	g.t.Helper()
	for _, w := range words {
		if _, err := g.sock.WriteTo(unhex(g.t, w), g.peer); err != nil {
			g.t.Fatal(err)
		}
	}
	return g
}

// first makes 1 the first message identifier.
type first struct{}

func (first) Uint64() uint64 { return 0 }

func (g *gateway) options() Options {
	return Options{Rand: rand.New(first{}), Options: client.Options{
		ClientID: "d", CleanStart: true,
		Reconnect: client.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: time.Millisecond},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, g.url(), transport.DialConfig{Schemes: transport.MQTTSNSchemes()})
		},
	}}
}

// states collects what OnState says.
type states struct {
	mu  sync.Mutex
	all []client.StateKind
}

func (s *states) add(st client.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, st.Kind)
}

func (s *states) get() []client.StateKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

func start(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	return c
}

// connected is a client whose CONNECT g has answered.
func connected(t *testing.T, g *gateway, o Options) *Client {
	t.Helper()
	c := start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	g.want("07040401000064").send("030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return c
}

func async(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

func publish(t *testing.T, c *Client, m client.Message) <-chan client.Outcome {
	t.Helper()
	got := make(chan client.Outcome, 1)
	if err := c.Publish(t.Context(), m, func(o client.Outcome) { got <- o }); err != nil {
		t.Fatal(err)
	}
	return got
}

func disconnect(t *testing.T, g *gateway, c *Client) {
	t.Helper()
	result := async(func() error { return c.Disconnect(t.Context(), 0, nil) })
	g.want("0218").send("0218")
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestClientPublishes(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Names, o.Short = map[uint16]string{17: "known"}, true
	c := connected(t, g, o)
	done := publish(t, c, client.Message{Topic: "a/b", Payload: []byte("hi"), QoS: 1})
	g.want("090a00000001.612f62").send("070b0005000100").want("090c2000050002.6869").send("070d0005000200")
	if got := <-done; got.Kind != client.Acknowledged || got.Sends != 1 || got.PacketID != 2 {
		t.Errorf("%+v", got)
	}
	done = publish(t, c, client.Message{Topic: "a/b", Payload: []byte("!"), Retain: true})
	if got := <-done; got.Kind != client.Written {
		t.Errorf("%+v", got)
	}
	g.want("080c1000050000.21")
	done = publish(t, c, client.Message{Topic: "#17", Payload: []byte("p"), QoS: 2})
	g.want("080c4100110003.70").send("040f0003").want("04100003").send("040e0003")
	if got := <-done; got.Kind != client.Acknowledged {
		t.Errorf("%+v", got)
	}
	publish(t, c, client.Message{Topic: "known"})
	g.want("070c0100110000")
	publish(t, c, client.Message{Topic: "TT"})
	g.want("070c0254540000")
	publish(t, c, client.Message{Topic: "TT", QoS: MinusOne})
	g.want("070c6254540000")
	done = publish(t, c, client.Message{Topic: "#18", QoS: 1})
	g.want("070c2100120004").send("070d0012000402")
	if got := <-done; got.Kind != client.Refused || !strings.Contains(got.Err.Error(), "message refused: ") {
		t.Errorf("%+v", got)
	}
	refused := (*client.RefusedError)(nil)
	if err := c.Publish(t.Context(), client.Message{Topic: "a/#"}, nil); !errors.As(err, &refused) || refused.What != "message" {
		t.Error(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	disconnect(t, g, c)
}

func TestClientSubscribes(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	got := make(chan client.Message, 10)
	o.OnMessage = func(m client.Message) {
		m.Payload = slices.Clone(m.Payload)
		got <- m
	}
	c := connected(t, g, o)
	var codes []mqtt.ReasonCode
	result := async(func() (err error) {
		codes, err = c.Subscribe(t.Context(), []client.Subscription{{Filter: "a/#", QoS: 1}, {Filter: "#17", QoS: 2}, {Filter: "\x00"}, {Filter: "no"}}, nil)
		return err
	})
	g.want("0812200001.612f23").send("0813200000000100").want("07124100020011").send("0813400011000200").want("0712000003.6e6f").send("0813000000000303")
	refusals := client.Refusals(nil)
	if err := <-result; !errors.As(err, &refusals) || refusals[0] != nil || refusals[1] != nil || refusals[2] == nil || refusals[3] == nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]mqtt.ReasonCode{1, 2, mqtt.UnspecifiedError, mqtt.UnspecifiedError}, codes); diff != "" {
		t.Error(diff)
	}
	g.send("090a00050007.612f62").want("070b0005000700").send("080c3000050008.78").want("070d0005000800")
	if diff := cmp.Diff(client.Message{Topic: "a/b", Payload: []byte("x"), QoS: 1, Retain: true, PacketID: 8}, <-got); diff != "" {
		t.Error(diff)
	}
	g.send("080c0100110000.79")
	if m := <-got; m.Topic != "#17" {
		t.Errorf("%+v", m)
	}
	result = async(func() error { _, err := c.Unsubscribe(t.Context(), []string{"a/#"}, nil); return err })
	g.want("0814000004.612f23").send("04150004")
	if err := <-result; err != nil {
		t.Error(err)
	}
	disconnect(t, g, c)
}

func TestClientSurvivesLostAndDoubledDatagrams(t *testing.T) {
	g := newGateway(t)
	g.forgiving = true
	o := g.options()
	o.Retry, o.Retries = 20*time.Millisecond, 1000
	o.Will = &client.Will{Topic: "w", Payload: []byte("x"), QoS: 2, Retain: true}
	got := make(chan string, 10)
	o.OnMessage = func(m client.Message) { got <- string(m.Payload) }
	c := start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	g.want("07040c01000064", "07040c01000064").send("0206", "0206").want("04075077").send("0208", "0208").want("030978").send("030500", "030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	done := publish(t, c, client.Message{Topic: "a", Payload: []byte("1"), QoS: 2})
	g.want("070a0000000161", "070a0000000161").send("070b0005000100", "070b0005000100")
	g.want("080c4000050002.31", "080cc000050002.31").send("040f0002", "040f0002").want("04100002", "04100002").send("040e0002", "040e0002")
	if out := <-done; out.Kind != client.Acknowledged || out.Sends < 2 {
		t.Errorf("%+v", out)
	}
	result = async(func() error {
		_, err := c.Subscribe(t.Context(), []client.Subscription{{Filter: "s", QoS: 2}}, nil)
		return err
	})
	g.want("0612400003.73", "0612c00003.73").send("0813400006000300", "0813400006000300")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	g.send("080c4000060009.71", "080cc000060009.71").want("040f0009").send("04100009", "04100009").want("040e0009").send("080c400006000a.72").want("040f000a")
	if a, b := <-got, <-got; a != "q" || b != "r" {
		t.Errorf("messages %q, %q", a, b)
	}
	leaving := async(func() error { return c.Disconnect(t.Context(), 0, nil) })
	g.want("0218", "0218").send("0218", "0218")
	if err := <-leaving; err != nil {
		t.Error(err)
	}
}

func TestGatewayThatHasForgottenTheClient(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Reconnect.Attempts = -1
	var seen states
	o.OnState = seen.add
	c := connected(t, g, o)
	result := async(func() error {
		_, err := c.Subscribe(t.Context(), []client.Subscription{{Filter: "s", QoS: 1}}, nil)
		return err
	})
	g.want("0612200001.73").send("0813200006000100")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	done := publish(t, c, client.Message{Topic: "s", Payload: []byte("x"), QoS: 1})
	g.want("080c2000060002.78")
	before := g.peer
	g.send("0218").want("07040401000064")
	if g.peer.String() == before.String() {
		t.Error("the same port: what is late would be taken for new")
	}
	g.send("030500").want("070a00000003.73", "0612200004.73").send("070b0007000300").want("080ca000070002.78")
	g.send("070d0007000200", "0813200007000400")
	if out := <-done; out.Kind != client.Acknowledged || out.Sends != 2 {
		t.Errorf("%+v", out)
	}
	for deadline := time.Now().Add(patience); !slices.Contains(seen.get(), client.StateResubscribed); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never subscribed again")
		}
	}
	disconnect(t, g, c)
	want := []client.StateKind{client.StateConnected, client.StateLost, client.StateReconnecting, client.StateConnected, client.StateResubscribed, client.StateClosed}
	if diff := cmp.Diff(want, seen.get()); diff != "" {
		t.Error(diff)
	}
}

func TestClientThatMayNotComeBack(t *testing.T) {
	g := newGateway(t)
	c := connected(t, g, g.options())
	done := publish(t, c, client.Message{Topic: "#17", QoS: 1})
	g.want("070c2100110001").send("0218")
	out := <-done
	<-c.Done()
	if out.Kind != client.Lost || out.Sends != 1 || !errors.Is(c.Err(), client.ErrConnectionLost) || !errors.Is(c.Err(), ErrEnded) {
		t.Errorf("%+v, %v", out, c.Err())
	}
	if err := c.Publish(t.Context(), client.Message{Topic: "a"}, nil); !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Subscribe(t.Context(), []client.Subscription{{Filter: "a"}}, nil); !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	g := newGateway(t)
	for _, word := range []string{"030501", "030503"} {
		c := start(t, g.options())
		result := async(func() error { _, err := c.Connect(t.Context()); return err })
		g.want("07040401000064").send(word)
		err := <-result
		code, refused := (*CodeError)(nil), (*client.RefusedError)(nil)
		if !errors.As(err, &code) || !errors.As(err, &refused) || passing(code) != (word == "030501") {
			t.Error(err)
		}
		<-c.Done()
	}
}

func TestCongestionPasses(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Reconnect.Attempts = -1
	c := connected(t, g, o)
	g.send("0218").want("07040401000064").send("030501").want("07040401000064").send("030503")
	<-c.Done()
	code := (*CodeError)(nil)
	if !errors.As(c.Err(), &code) || code.Code != wire.NotSupported {
		t.Error(c.Err())
	}
}

func TestNobodyListens(t *testing.T) {
	g := newGateway(t)
	_ = g.sock.Close()
	c := start(t, g.options())
	_, err := c.Connect(t.Context())
	if network := (*transport.Error)(nil); !errors.As(err, &network) || network.Hint == "" {
		t.Error(err)
	}
}

func TestGatewayThatStartsAnewIsNotMissed(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Retry, o.Retries = 20*time.Millisecond, 1000
	c := connected(t, g, o)
	at := g.sock.LocalAddr().(*net.UDPAddr)
	_ = g.sock.Close()
	_ = publish(t, c, client.Message{Topic: "#17", QoS: 0})
	done := publish(t, c, client.Message{Topic: "#17", QoS: 1})
	var err error
	if g.sock, err = net.ListenUDP("udp4", at); err != nil {
		t.Skip("somebody else has the port now")
	}
	g.skip("070ca100110001").send("070d0011000100")
	if out := <-done; out.Kind != client.Acknowledged {
		t.Errorf("%+v", out)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestNobodyAnswersConnect(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Retry, o.Retries = time.Millisecond, 2
	c := start(t, o)
	if _, err := c.Connect(t.Context()); !errors.Is(err, client.ErrTimeout) || !errors.Is(err, ErrUnanswered) {
		t.Error(err)
	}
	o.Retry, o.ConnectTimeout = time.Minute, time.Millisecond
	c = start(t, o)
	if _, err := c.Connect(t.Context()); !errors.Is(err, client.ErrTimeout) {
		t.Error(err)
	}
}

func TestMinusOneSaysNothingElse(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Connectionless = true
	c := start(t, o)
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := <-publish(t, c, client.Message{Topic: "#17", Payload: []byte("x"), QoS: MinusOne}); out.Kind != client.Written {
		t.Errorf("%+v", out)
	}
	if err := c.Publish(t.Context(), client.Message{Topic: "#17", QoS: 1}, nil); !errors.As(err, new(*client.RefusedError)) {
		t.Error(err)
	}
	if err := c.Disconnect(t.Context(), 0, nil); err != nil {
		t.Error(err)
	}
	g.want("080c6100110000.78")
	if _, err := g.sock.WriteTo(nil, g.sock.LocalAddr()); err != nil { // a mark behind all of it
		t.Fatal(err)
	}
	if got := g.receive(); got != "" {
		t.Errorf("%s as well", got)
	}
}

func TestRejectedMessageIsTold(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	told := make(chan string, 1)
	o.OnRejected = func(topic string, code wire.ReturnCode) { told <- topic + " " + codeText(code) }
	c := connected(t, g, o)
	publish(t, c, client.Message{Topic: "a"})
	g.want("070a0000000161").send("070b0005000100").want("070c0000050000").send("070d0005000003")
	if got := <-told; got != "a not supported (3)" {
		t.Error(got)
	}
	disconnect(t, g, c)
}

func TestHaltInsideOnMessage(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	var c *Client
	taken := 0
	o.OnMessage = func(client.Message) { taken++; c.Halt() }
	c = start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	g.want("07040401000064").send("030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	g.send("080c2100110001.78", "080c2100110002.78", "0216").want("070d0011000100", "0217")
	disconnect(t, g, c)
	if taken != 1 {
		t.Errorf("%d messages", taken)
	}
}

func TestForwardedClient(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Forwarded, o.NodeID = true, []byte{0xaa, 0xbb}
	c := start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	g.want("05fe00aabb.07040401000064").send("05fe00aabb.030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	leaving := async(func() error { return c.Disconnect(t.Context(), 0, nil) })
	g.want("05fe00aabb.0218").send("05fe00aabb.0218")
	if err := <-leaving; err != nil {
		t.Error(err)
	}
}

func TestDescribe(t *testing.T) {
	for in, want := range map[string]string{"030500": "CONNACK", "07040401000064": "CONNECT", "0216": "PINGREQ", "00": "1 bytes that are no message: "} {
		if got := Describe(unhex(t, in), client.Sent); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// pipe is a client in a bubble, whose time costs nothing, and what it says.
func pipe(t *testing.T, o Options) (*Client, net.Conn, chan string) {
	t.Helper()
	near, far := net.Pipe()
	o.Rand = rand.New(first{})
	o.Dial = func(context.Context) (net.Conn, error) { return near, nil }
	said := make(chan string, 100)
	go func() {
		defer close(said)
		buf := make([]byte, 1<<16)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			said <- hex.EncodeToString(buf[:n])
		}
	}()
	c := start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	if got := <-said; got != "07040401000064" {
		t.Fatal(got)
	}
	tell(t, far, "030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return c, far, said
}

func tell(t *testing.T, conn net.Conn, words ...string) {
	t.Helper()
	for _, w := range words {
		if _, err := conn.Write(unhex(t, w)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSleepLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 10)
		o := Options{Options: client.Options{ClientID: "d", CleanStart: true, OnMessage: func(m client.Message) { got <- m.Topic + "=" + string(m.Payload) }}}
		c, gw, said := pipe(t, o)
		if err := c.Doze(10*time.Minute, 20*time.Minute); !errors.Is(err, ErrDoze) {
			t.Error(err)
		}
		if err := c.Doze(10*time.Minute, time.Minute); err != nil {
			t.Fatal(err)
		}
		hear := func(want string) {
			t.Helper()
			if got := <-said; got != strings.ReplaceAll(want, ".", "") {
				t.Fatalf("said %s, want %s", got, want)
			}
		}
		hear("04180258")
		began := time.Now()
		tell(t, gw, "0218")
		for round := range 3 {
			hear("031664")
			if passed := time.Since(began); passed != time.Duration(round+1)*time.Minute {
				t.Errorf("awake after %v", passed)
			}
			time.Sleep(5 * time.Second)
			tell(t, gw, "080c2100110001.78")
			hear("070d0011000100")
			if m := <-got; m != "#17=x" {
				t.Error(m)
			}
			tell(t, gw, "0217")
		}
		// What needs no connection disturbs no sleep.
		publish(t, c, client.Message{Topic: "#17", QoS: MinusOne})
		hear("070c6100110000")
	})
}

func TestSleeperThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gw, said := pipe(t, Options{Options: client.Options{ClientID: "d", CleanStart: true}, Retries: 1})
		if err := c.Doze(time.Minute, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := <-said; got != "0418003c" {
			t.Fatal(got)
		}
		tell(t, gw, "0218")
		polls := 0
		for got := range said {
			if got != "031664" {
				t.Error(got)
			}
			polls++
		}
		<-c.Done()
		if !errors.Is(c.Err(), ErrUnanswered) || polls != 4 {
			t.Errorf("%d polls, %v", polls, c.Err())
		}
	})
}

func TestSleeperThatPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gw, said := pipe(t, Options{Options: client.Options{ClientID: "d", CleanStart: true}})
		if err := c.Doze(time.Minute, time.Minute); err != nil {
			t.Fatal(err)
		}
		script := func(lines ...string) {
			t.Helper()
			for _, line := range lines {
				want, answer, _ := strings.Cut(line, " ")
				if got := <-said; got != want {
					t.Fatalf("said %s, want %s", got, want)
				}
				if answer != "" {
					tell(t, gw, answer)
				}
			}
		}
		script("0418003c 0218")
		synctest.Wait()
		done := publish(t, c, client.Message{Topic: "#17", QoS: 1})
		script("07040001000064 030500", "070c2100110001 070d0011000100")
		if out := <-done; out.Kind != client.Acknowledged {
			t.Errorf("%+v", out)
		}
		script("0418003c 0218", "031664 0217")
		leaving := async(func() error { return c.Disconnect(t.Context(), 0, nil) })
		script("0218 0218")
		if err := <-leaving; err != nil {
			t.Error(err)
		}
	})
}

func TestKeepAliveOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := Options{Options: client.Options{ClientID: "d", KeepAlive: 60, Dial: func(context.Context) (net.Conn, error) { return near, nil }}}
		c := start(t, o)
		result := async(func() error { _, err := c.Connect(t.Context()); return err })
		buf := make([]byte, 100)
		hear := func(want string) {
			t.Helper()
			n, err := far.Read(buf)
			if err != nil || hex.EncodeToString(buf[:n]) != want {
				t.Fatalf("%x, %v, want %s", buf[:n], err, want)
			}
		}
		hear("07040001003c64")
		tell(t, far, "030500")
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		for range 3 {
			hear("0216")
			tell(t, far, "0217")
		}
		for range 5 {
			hear("0216")
		}
		<-c.Done()
		if !errors.Is(c.Err(), ErrUnanswered) {
			t.Error(c.Err())
		}
	})
}
