package mqttsn

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestGoodbyeThatNobodyHears(t *testing.T) {
	g := newGateway(t)
	c := connected(t, g, g.options())
	if err := c.Disconnect(t.Context(), 0, nil); !errors.Is(err, client.ErrConnectionLost) || !errors.Is(err, ErrUnanswered) {
		t.Error(err)
	}
	g.want("0218")
}

func TestWillOfALivingClient(t *testing.T) {
	g := newGateway(t)
	c := connected(t, g, g.options())
	result := async(func() error {
		return c.SetWill(t.Context(), &client.Will{Topic: "w", Payload: []byte("x"), QoS: 1})
	})
	g.want("041a2077", "031c78").send("031b00", "031d00")
	if err := <-result; err != nil {
		t.Error(err)
	}
	result = async(func() error { return c.SetWill(t.Context(), nil) })
	g.want("021a").send("031b03")
	code := (*CodeError)(nil)
	if err := <-result; !errors.As(err, &code) || code.Code != wire.NotSupported {
		t.Error(err)
	}
	if err := c.SetWill(t.Context(), &client.Will{Topic: "#"}); !errors.As(err, new(*client.RefusedError)) {
		t.Error(err)
	}
	disconnect(t, g, c)
}
