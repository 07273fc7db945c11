package proxy_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// brokers are played by the test: each answers CONNECT with its number as the
// assigned client identifier, and nothing else.
func brokers(t *testing.T, n int) (urls []string, close func(i int)) {
	t.Helper()
	var all []*proxytest.Listener
	for i := range n {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		all, urls = append(all, l), append(urls, l.URL())
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				go answer(nc, i)
			}
		}()
	}
	return urls, func(i int) { _ = all[i].Close() }
}

func answer(nc transport.Conn, i int) {
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(proxytest.Limit))
	b := make([]byte, 64<<10)
	n, err := nc.Read(b)
	if err != nil {
		return
	}
	ack := mqtt.Connack{}
	v := mqtt.V311
	if p, _, err := mqtt.Parse(b[:n], mqtt.Options{}); err == nil && p.(mqtt.Connect).Version == mqtt.V5 {
		v = mqtt.V5
		ack.Properties = ack.Properties.AppendString(mqtt.PropAssignedClientIdentifier, fmt.Sprint(i))
	}
	out, err := ack.Append(nil, v)
	if err != nil {
		return
	}
	_, _ = nc.Write(out)
	_, _ = io.Copy(io.Discard, nc)
}

// reached tells which broker a client comes to; -1 for none.
func reached(t *testing.T, e *proxy.Engine, clientID string) int {
	t.Helper()
	c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
	defer c.Close()
	c.Send(mqtt.Connect{ClientID: clientID, CleanStart: true})
	ack, ok := c.Next().(mqtt.Connack)
	if !ok || ack.Code != mqtt.Success {
		return -1
	}
	var i int
	s, _ := ack.Properties.String(mqtt.PropAssignedClientIdentifier)
	if _, err := fmt.Sscan(s, &i); err != nil {
		t.Fatal(err)
	}
	return i
}

func toAll(urls []string, change func(*proxy.Config)) func(*proxy.Config) {
	return func(c *proxy.Config) {
		c.Upstreams = nil
		for _, url := range urls {
			c.Upstreams = append(c.Upstreams, proxy.Upstream{URL: url})
		}
		if change != nil {
			change(c)
		}
	}
}

func TestClientIdentifierStaysAtItsBroker(t *testing.T) {
	urls, stop := brokers(t, 3)
	e := proxytest.Start(t, "", toAll(urls, nil))
	again := proxytest.Start(t, "", toAll(urls, nil))
	const clients = 60
	home := make([]int, clients)
	count := map[int]int{}
	for i := range clients {
		id := fmt.Sprintf("client-%d", i)
		home[i] = reached(t, e, id)
		count[home[i]]++
		if other := reached(t, again, id); other != home[i] {
			t.Errorf("%s: broker %d by one proxy, %d by another", id, home[i], other)
		}
	}
	for i := range 3 {
		if count[i] < clients/10 {
			t.Errorf("broker %d has %d of %d clients", i, count[i], clients)
		}
	}
	stop(1)
	for i := range clients { // only those of the broker that has gone move, and all of them get in
		now := reached(t, e, fmt.Sprintf("client-%d", i))
		if home[i] != 1 && now != home[i] || home[i] == 1 && (now == 1 || now < 0) {
			t.Errorf("client-%d moves from %d to %d", i, home[i], now)
		}
	}
}

func TestLeastConnectionsAreFilledUp(t *testing.T) {
	urls, _ := brokers(t, 3)
	e := proxytest.Start(t, "", toAll(urls, func(c *proxy.Config) { c.Balance = proxy.BalanceLeast }))
	count := map[string]int{}
	for i := range 9 {
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: fmt.Sprint(i), CleanStart: true})
		ack := c.Next().(mqtt.Connack)
		id, _ := ack.Properties.String(mqtt.PropAssignedClientIdentifier)
		count[id]++
	}
	for id, n := range count {
		if n != 3 || len(count) != 3 {
			t.Errorf("broker %s has %d connections", id, n)
		}
	}
}

func TestDrainedBrokerGetsNoNewConnections(t *testing.T) {
	urls, _ := brokers(t, 2)
	e := proxytest.Start(t, "", toAll(urls, func(c *proxy.Config) { c.Upstreams[0].Drain = true }))
	for i := range 10 {
		if got := reached(t, e, fmt.Sprint(i)); got != 1 {
			t.Errorf("client %d comes to %d", i, got)
		}
	}
	if err := e.Drain(urls[1], true); err != nil {
		t.Fatal(err)
	}
	if got := reached(t, e, "x"); got != -1 {
		t.Errorf("broker %d is reached, and all are drained", got)
	}
	if err := e.Drain(urls[0], false); err != nil {
		t.Fatal(err)
	}
	if got := reached(t, e, "x"); got != 0 {
		t.Errorf("broker %d, want 0", got)
	}
	if err := e.Drain("mqtt://nobody:1", true); err == nil {
		t.Error("a broker that is not there is drained")
	}
}

func TestDrainEndsConnectionsWhenAsked(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), change)
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		s, _ := l.Welcome(mqtt.V5)
		c.Next()
		if err := e.Vacate(l.URL()); err != nil {
			t.Fatal(err)
		}
		if d, ok := c.Next().(mqtt.Disconnect); !ok || d.Code != mqtt.UseAnotherServer {
			t.Errorf("%+v", d)
		}
		c.Closed()
		s.Closed()
	})
}

// until polls for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(proxytest.Limit); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal(what)
		}
	}
}

func metrics(t *testing.T, e *proxy.Engine) string {
	t.Helper()
	var b bytes.Buffer
	if err := e.WriteMetrics(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHealthFindsOutWhoIsDown(t *testing.T) {
	for _, mode := range []proxy.HealthMode{proxy.HealthTCP, proxy.HealthConnect, proxy.HealthPing} {
		t.Run(mode.String(), func(t *testing.T) {
			good := proxytest.Broker(t)
			bad := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{}) // accepts in the backlog, and says nothing
			if mode == proxy.HealthTCP {
				_ = bad.Close()
			}
			e := proxytest.Start(t, "", toAll([]string{good, bad.URL()}, func(c *proxy.Config) {
				c.Health = proxy.Health{Mode: mode, Interval: 10 * time.Millisecond, Timeout: 500 * time.Millisecond, Fall: 2, Rise: 1}
			}))
			until(t, "the broker that says nothing is not down, or the one that answers not up", func() bool {
				text := metrics(t, e)
				return strings.Contains(text, fmt.Sprintf("iotctl_proxy_broker_up{broker=%q} 0\n", bad.URL())) &&
					strings.Contains(text, fmt.Sprintf("iotctl_proxy_broker_up{broker=%q} 1\n", good))
			})
		})
	}
}

func TestServerReferenceIsFollowed(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		first := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		second := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, first.URL(), with(change, func(c *proxy.Config) { c.FollowReference = true }))
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true, KeepAlive: 7})
		s := first.Next(mqtt.V5)
		s.Next()
		s.Send(mqtt.Connack{Code: mqtt.UseAnotherServer, Properties: mqtt.Properties{}.AppendString(mqtt.PropServerReference, second.Addr().String())})
		other, again := second.Welcome(mqtt.V5)
		if again.ClientID != "c" || again.KeepAlive != 7 {
			t.Errorf("%+v", again)
		}
		if ack, ok := c.Next().(mqtt.Connack); !ok || ack.Code != mqtt.Success {
			t.Errorf("%+v", ack)
		}
		c.Send(mqtt.Publish{Topic: []byte("a")})
		if _, ok := other.Next().(mqtt.Publish); !ok {
			t.Error("no PUBLISH")
		}
	})
}

func TestSeveralSourceAddressesAreUsedInTurn(t *testing.T) {
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	local := []string{"127.0.0.2", "127.0.0.3"}
	probe := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local[0])}}
	nc, err := probe.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Skipf("this system has one loopback address: %v", err)
	}
	_ = nc.Close()
	_ = l.Next(mqtt.V311).Close()
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Upstreams[0].Local = local })
	for i := range 4 {
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V311)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		s, _ := l.Welcome(mqtt.V311)
		if got := s.Info().Remote.Addr().String(); got != local[i%2] {
			t.Errorf("connection %d comes from %s, want %s", i, got, local[i%2])
		}
	}
}

// header reads what comes before TLS or MQTT.
func header(t *testing.T, raw net.Listener, n int) []byte {
	t.Helper()
	nc, err := raw.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(proxytest.Limit))
	b := make([]byte, n)
	k, err := io.ReadFull(nc, b)
	if err != nil {
		t.Fatalf("%q: %v", b[:k], err)
	}
	return b
}

func TestProxyHeadersNameTheClient(t *testing.T) {
	for version := 1; version <= 2; version++ {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{Proxies: []string{"127.0.0.1"}})
			e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.SendProxy = version })
			c := proxytest.Dial(t, proxytest.URL(e), mqtt.V311)
			c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
			s, _ := l.Welcome(mqtt.V311)
			if got, want := s.Info().Remote.String(), c.LocalAddr().String(); got != want {
				t.Errorf("the broker sees %s, want %s", got, want)
			}
		})
	}
}

func TestProxyHeaderIsPassedOn(t *testing.T) {
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{Proxies: []string{"127.0.0.1"}})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) {
		c.SendProxy = 2
		c.Listeners[0].Proxies = []string{"127.0.0.1"}
	})
	nc, err := net.Dial("tcp", strings.TrimPrefix(proxytest.URL(e), "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tlv := "\x02\x00\x05house"
	head := "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00" + string(rune(36+len(tlv)))
	addrs := strings.Repeat("\x20\x01", 8) + strings.Repeat("\x20\x02", 8) + "\x30\x39\x07\x5b"
	b := append([]byte(head+addrs+tlv), encode(t, mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.V311)...)
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	s, _ := l.Welcome(mqtt.V311)
	if i := s.Info(); i.Remote.String() != "[2001:2001:2001:2001:2001:2001:2001:2001]:12345" || string(i.ProxyTLVs) != tlv {
		t.Errorf("the broker sees %s and %q", i.Remote, i.ProxyTLVs)
	}
}

func TestProxyHeaderTellsOfTLS(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	e := proxytest.Start(t, "mqtt://"+raw.Addr().String(), func(c *proxy.Config) {
		c.SendProxy = 2
		c.Listeners[0].URL = "mqtts://127.0.0.1:0"
		c.Listeners[0].TLS = &transport.ServerTLS{
			Certificates: []tls.Certificate{ca.Server(t, nil, "house.example")}, ClientAuth: transport.ClientCertRequire, ClientCAs: ca.Pool(),
		}
	})
	nc, err := transport.Dial(t.Context(), proxytest.URL(e), transport.DialConfig{TLS: &transport.ClientTLS{
		RootCAs: ca.Pool(), ServerName: "house.example", Certificates: []tls.Certificate{ca.Client(t, nil, "device-7")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(encode(t, mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.V311)); err != nil {
		t.Fatal(err)
	}
	b := header(t, raw, 100)
	if n := int(binary.BigEndian.Uint16(b[14:])); n < 60 {
		t.Fatalf("a header of %d bytes", n)
	}
	for _, want := range []string{"\x02\x00\x0dhouse.example", "\x21\x00\x07TLSv1.3", "\x22\x00\x08device-7", "\x23\x00"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%q is not in %q", want, b)
		}
	}
	if i := bytes.IndexByte(b[28:], 0x20) + 28; b[i+3] != 0x03 || binary.BigEndian.Uint32(b[i+4:]) != 0 {
		t.Errorf("client flags %#x, verification %x", b[i+3], b[i+4:i+8])
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	dir := t.TempDir()
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "127.0.0.1"))
	e := proxytest.Start(t, proxytest.Broker(t), func(c *proxy.Config) {
		c.Listeners[0].URL = "mqtts://127.0.0.1:0"
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key, KeyLogFile: filepath.Join(dir, "keys")}
	})
	shown := func() *x509.Certificate {
		nc, err := transport.Dial(t.Context(), proxytest.URL(e), transport.DialConfig{TLS: &transport.ClientTLS{RootCAs: ca.Pool()}})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.Info().TLS.PeerCertificates[0]
	}
	first := shown()
	other := t.TempDir()
	newCert, newKey := transporttest.WritePair(t, other, ca.Server(t, nil, "127.0.0.1"))
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Reload(); err != nil {
		t.Fatal(err)
	}
	if shown().Equal(first) {
		t.Error("the old certificate is shown")
	}
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.Reload(); err == nil {
		t.Error("a file that is no key is no error")
	}
	_ = shown()
	if b, err := os.ReadFile(filepath.Join(dir, "keys")); err != nil || !bytes.Contains(b, []byte("CLIENT_TRAFFIC_SECRET_0")) {
		t.Errorf("the key log has %d bytes, %v", len(b), err)
	}
}
