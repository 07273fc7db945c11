package doctor_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/doctor"
	gatewaymqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// examine runs the doctor against rawURL; edit, unless nil, changes the
// configuration first.
func examine(t *testing.T, rawURL string, edit func(*doctor.Config)) *doctor.Report {
	t.Helper()
	e, err := transport.Parse(rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := doctor.Config{
		Target: e, KeepAlive: 60, MaxPacketBytes: 100_000, MaxIDBytes: 1000,
		CheckTimeout: time.Minute, ConnectTimeout: time.Minute, Timeout: 5 * time.Minute,
	}
	if edit != nil {
		edit(&c)
	}
	r, err := doctor.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// result is the one of a check.
func result(t *testing.T, r *doctor.Report, check string) doctor.Result {
	t.Helper()
	at := slices.IndexFunc(r.Results, func(x doctor.Result) bool { return x.Check == check })
	if at < 0 {
		t.Fatalf("no %s in %v", check, r.Results)
	}
	return r.Results[at]
}

func figure(r doctor.Result, name string) any {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

func TestAllIsWellAtOurBroker(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	for _, s := range transport.MQTTSchemes() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			listener := serve.Listener{URL: (&url.URL{Scheme: s.Name, Host: "127.0.0.1:0", Path: s.Path}).String()}
			if s.Network == "unix" {
				dir, err := os.MkdirTemp("", "doctor") // the path of a socket is short
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
				listener.URL = "unix://" + filepath.Join(dir, "s")
			}
			if s.TLS {
				listener.TLS = &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}
			}
			server := servetest.Start(t, func(c *serve.Config) { c.Listeners = []serve.Listener{listener} })
			told := 0
			r := examine(t, server.URLs()[0], func(c *doctor.Config) {
				c.Dial.TLS = &transport.ClientTLS{RootCAs: ca.Pool()}
				c.OnResult = func(doctor.Result) { told++ }
			})
			if r.Version != mqtt.V5 || told != len(r.Results) || r.Stopped != nil {
				t.Error(r.Version, told, len(r.Results), r.Stopped)
			}
			for _, x := range r.Results {
				soon := x.Check == "tls" && strings.Contains(x.Summary, "expires in less than a day")
				silent := x.Check == "sys" // what is there depends on how long the broker runs
				if x.Verdict == doctor.Failed || x.Verdict == doctor.Warning && !soon && !silent || x.Summary == "" {
					t.Errorf("%+v", x)
				}
			}
			if got := result(t, r, "packet"); figure(got, "bytes") != 100_000 || figure(got, "bound_reached") != true {
				t.Error(got)
			}
			if got := result(t, r, "shared"); figure(got, "first").(int)+figure(got, "second").(int) != 10 {
				t.Error(got)
			}
			if result(t, r, "cleanup").Verdict != doctor.OK {
				t.Error(result(t, r, "cleanup"))
			}
		})
	}
}

func TestLongPacketsAreFoundOut(t *testing.T) {
	u := servetest.Start(t, func(c *serve.Config) {
		c.Gateways = map[string]any{"mqtt": gatewaymqtt.Config{MaxPacketBytes: 5000}}
	}).URLs()[0]
	r := examine(t, u, func(c *doctor.Config) { c.Only = []string{"packet"} })
	if got := result(t, r, "packet"); got.Verdict != doctor.OK || figure(got, "bytes") != 5000 || got.Summary != "5000 bytes, as the server states" {
		t.Errorf("%+v", got)
	}
	// Servers of 3.1.1 do not state it: they close the connection.
	r = examine(t, u, func(c *doctor.Config) { c.Only, c.Version = []string{"packet"}, mqtt.V311 })
	if got := result(t, r, "packet"); got.Verdict != doctor.OK || figure(got, "bytes") != 5000 || figure(got, "exact") != true {
		t.Errorf("%+v", got)
	}
}

func TestOlderVersionsAreExaminedToo(t *testing.T) {
	u := servetest.Start(t, nil).URLs()[0]
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
		r := examine(t, u, func(c *doctor.Config) { c.Version, c.Skip = v, []string{"sys"} })
		if r.Version != v || r.Verdict() != doctor.OK {
			t.Errorf("%s: %+v", v, r.Results)
		}
		if got := result(t, r, "connect5"); got.Verdict != doctor.Skipped || !strings.Contains(got.Summary, "-V asks for") {
			t.Error(got)
		}
		if got := result(t, r, "limits"); got.Verdict != doctor.Skipped {
			t.Error(got)
		}
	}
}

func TestChecksAreChosen(t *testing.T) {
	u := servetest.Start(t, nil).URLs()[0]
	r := examine(t, u, func(c *doctor.Config) { c.Only, c.Skip = []string{"dns", "qos"}, []string{"qos2"} })
	var got []string
	for _, x := range r.Results {
		got = append(got, x.Check)
	}
	if want := []string{"dns", "qos0", "qos1"}; !slices.Equal(got, want) {
		t.Error(got)
	}
	_, err := doctor.Run(t.Context(), doctor.Config{Only: []string{"colour"}, Prefix: "a/#", Tries: -1, MaxPacketBytes: 1, MaxIDBytes: 1, Timeout: -1})
	for _, want := range []string{`no check is called "colour": there are dns, tcp`, `prefix "a/#"`, "tries:", "longest packet", "longest client identifier", "times must"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

// listen accepts connections until the test ends and gives each to serve.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { serve(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// connect reads a CONNECT and returns its version.
func connect(c net.Conn) (mqtt.Version, bool) {
	b := make([]byte, 0, 4096)
	for {
		n, err := c.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) > 9 {
			if i := bytes.Index(b, []byte("MQTT")); i > 0 && len(b) > i+4 {
				return mqtt.Version(b[i+4]), true
			}
			if i := bytes.Index(b, []byte("MQIsdp")); i > 0 && len(b) > i+6 {
				return mqtt.Version(b[i+6]), true
			}
		}
		if err != nil {
			return 0, false
		}
	}
}

// answering answers CONNECT, by version, and reads on.
func answering(t *testing.T, answers map[mqtt.Version][]byte) string {
	return "mqtt://" + listen(t, func(c net.Conn) {
		v, ok := connect(c)
		if !ok || answers[v] == nil {
			return
		}
		_, _ = c.Write(answers[v])
		_, _ = io.Copy(io.Discard, c)
	})
}

func TestServersThatAreNoBrokers(t *testing.T) {
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	says := func(text string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, text); _, _ = io.Copy(io.Discard, c) }
	}
	for name, tt := range map[string]struct {
		scheme, check string
		serve         func(net.Conn)
		want, hint    string
		cause         doctor.Cause
		silent        bool
	}{
		"silent":      {"mqtt", "connect5", silent, "does not answer CONNECT", "right port", doctor.Timeout, true},
		"closes":      {"mqtt", "connect5", func(net.Conn) {}, "closes the connection instead of answering CONNECT", "log tells", doctor.Network, false},
		"SSH":         {"mqtt", "connect5", says("SSH-2.0-OpenSSH_9.2\r\n"), "speaks SSH on this port", "right port", doctor.Network, false},
		"HTTP":        {"mqtt", "connect5", says("HTTP/1.1 400 Bad Request\r\n\r\n"), "speaks HTTP on this port", "ws://", doctor.Network, false},
		"silent TLS":  {"mqtts", "tls", silent, "does not answer the TLS handshake", "may not speak TLS", doctor.TLS, true},
		"HTTP no TLS": {"mqtts", "tls", says("HTTP/1.1 400 Bad Request\r\n\r\n"), "speaks HTTP without TLS on this port", "8883", doctor.TLS, false},
		"HTTP no WS":  {"ws", "websocket", says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "answered 404", "/mqtt", doctor.WebSocket, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, tt.scheme+"://"+listen(t, tt.serve), func(c *doctor.Config) {
				if tt.silent {
					c.ConnectTimeout = 2 * time.Second
				}
			})
			got := result(t, r, tt.check)
			if got.Verdict != doctor.Failed || !strings.Contains(got.Summary, tt.want) || !strings.Contains(got.Hint, tt.hint) || got.Cause != tt.cause {
				t.Errorf("%+v", got)
			}
			if last := result(t, r, "id"); last.Verdict != doctor.Skipped || !strings.Contains(last.Summary, "because of") {
				t.Errorf("%+v", last)
			}
		})
	}
}

func TestAPortWithTheOtherKindOfSecurityIsNamed(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	server := servetest.Start(t, func(c *serve.Config) {
		c.Listeners = append(c.Listeners, serve.Listener{URL: "mqtts://127.0.0.1:0", ListenConfig: transport.ListenConfig{TLS: &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}}})
	})
	plain, secure := server.URLs()[0], server.URLs()[1]
	r := examine(t, strings.Replace(plain, "mqtt:", "mqtts:", 1), nil)
	if got := result(t, r, "tls"); got.Cause != doctor.TLS || got.Summary != "the server speaks MQTT without TLS on this port" || !strings.Contains(got.Hint, "iotctl doctor "+plain) {
		t.Errorf("%+v", got)
	}
	r = examine(t, strings.Replace(secure, "mqtts:", "mqtt:", 1), nil)
	if got := result(t, r, "connect5"); got.Cause != doctor.TLS && got.Summary != "the server speaks TLS on this port" || !strings.Contains(got.Hint, "iotctl doctor "+secure) {
		t.Errorf("%+v", got)
	}
}

func TestRefusals(t *testing.T) {
	v5 := func(code byte) []byte { return []byte{0x20, 3, 0, code, 0} }
	v3 := func(code byte) []byte { return []byte{0x20, 2, 0, code} }
	none := answering(t, map[mqtt.Version][]byte{mqtt.V5: v5(0x87), mqtt.V311: v3(5), mqtt.V31: v3(5)})
	r := examine(t, none, nil)
	if got := result(t, r, "connect5"); got.Verdict != doctor.Failed || got.Cause != doctor.Refused || !strings.Contains(got.Hint, "-u NAME --ask-password") {
		t.Errorf("%+v", got)
	}
	// A wrong password is shown once: it may be counted.
	for _, name := range []string{"connect311", "connect31", "qos0"} {
		if got := result(t, r, name); got.Verdict != doctor.Skipped || got.Summary != "because of connect5" {
			t.Errorf("%+v", got)
		}
	}
	user := "me"
	r = examine(t, none, func(c *doctor.Config) { c.Username, c.Only = &user, []string{"connect5"} })
	if got := result(t, r, "connect5"); !strings.Contains(got.Hint, "wrong name or password") {
		t.Errorf("%+v", got)
	}

	// A server that knows 3.1.1 alone is none that has failed.
	r = examine(t, answering(t, map[mqtt.Version][]byte{mqtt.V5: v3(1), mqtt.V311: v3(0), mqtt.V31: v3(1)}), func(c *doctor.Config) { c.Only = []string{"connect", "limits"} })
	for name, want := range map[string]doctor.Verdict{"connect5": doctor.Warning, "connect311": doctor.OK, "connect31": doctor.OK, "limits": doctor.Skipped} {
		if got := result(t, r, name); got.Verdict != want {
			t.Errorf("%+v", got)
		}
	}
	if r.Version != mqtt.V311 {
		t.Error(r.Version)
	}
	r = examine(t, answering(t, map[mqtt.Version][]byte{mqtt.V5: v5(0x84), mqtt.V311: v3(1), mqtt.V31: v3(1)}), func(c *doctor.Config) { c.Only = []string{"connect"} })
	if r.Verdict() != doctor.Failed {
		t.Errorf("%+v", r.Results)
	}
}

func TestLimitsAreRead(t *testing.T) {
	var p mqtt.Properties
	p = p.AppendUint16(mqtt.PropReceiveMaximum, 7).AppendByte(mqtt.PropMaximumQoS, 1).AppendByte(mqtt.PropRetainAvailable, 0).
		AppendUint32(mqtt.PropMaximumPacketSize, 5000).AppendUint16(mqtt.PropTopicAliasMaximum, 3).AppendByte(mqtt.PropWildcardSubscriptionAvailable, 0).
		AppendByte(mqtt.PropSubscriptionIDAvailable, 0).AppendByte(mqtt.PropSharedSubscriptionAvailable, 0).AppendUint16(mqtt.PropServerKeepAlive, 30).
		AppendUint32(mqtt.PropSessionExpiryInterval, 100).AppendString(mqtt.PropAssignedClientIdentifier, "given")
	ack, err := mqtt.Connack{Properties: p}.Append(nil, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	r := examine(t, answering(t, map[mqtt.Version][]byte{mqtt.V5: ack}), func(c *doctor.Config) {
		c.Only = []string{"connect5", "limits", "qos2", "retained", "wildcards", "shared", "topic"}
	})
	got := result(t, r, "limits")
	for name, want := range map[string]any{
		"receive_maximum": 7, "maximum_qos": 1, "retain_available": false, "maximum_packet_bytes": 5000, "topic_alias_maximum": 3, "wildcards_available": false,
		"subscription_ids_available": false, "shared_available": false, "server_keep_alive_s": 30, "session_expiry_s": 100, "assigned_id": "given",
	} {
		if figure(got, name) != want {
			t.Errorf("%s: %v, want %v", name, figure(got, name), want)
		}
	}
	if got.Verdict != doctor.Warning || got.Summary != "maximum QoS 1; no retained messages; no wildcards; no subscription identifiers; no shared subscriptions; sessions are kept for at most 100 s" {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"qos2", "retained", "wildcards", "shared", "topic"} {
		if x := result(t, r, name); x.Verdict != doctor.Skipped || !strings.Contains(x.Summary, "the server states") {
			t.Errorf("%+v", x)
		}
	}
}

// What a run that was interrupted has left is removed all the same.
func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	u := servetest.Start(t, nil).URLs()[0]
	for _, check := range []string{"retained", "session"} {
		ctx, cancel := context.WithCancel(t.Context())
		e, err := transport.Parse(u, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := doctor.Run(ctx, doctor.Config{
			Target: e, Only: []string{"connect5", check, "will"},
			OnPacket: func(mqtt.Version) func(client.Direction, []byte) {
				return func(dir client.Direction, raw []byte) {
					kept := dir == client.Received && mqtt.Type(raw[0]>>4) == mqtt.TypePuback && check == "retained"
					subscribed := dir == client.Received && mqtt.Type(raw[0]>>4) == mqtt.TypeSuback && check == "session"
					if kept || subscribed {
						cancel()
					}
				}
			},
		})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if got := result(t, r, check); got.Verdict != doctor.Failed || got.Cause != doctor.Stopped {
			t.Errorf("%+v", got)
		}
		if got := result(t, r, "will"); got.Verdict != doctor.Skipped || got.Summary != "interrupted" {
			t.Errorf("%+v", got)
		}
		if got := result(t, r, "cleanup"); got.Verdict != doctor.OK || r.Stopped == nil {
			t.Errorf("%+v %v", got, r.Stopped)
		}
		if check == "retained" {
			leftBehind(t, u, r.Prefix)
		}
	}
}

// leftBehind fails when something below prefix is retained.
func leftBehind(t *testing.T, u, prefix string) {
	t.Helper()
	got := make(chan string, 10)
	c, err := client.New(client.Options{
		Version: mqtt.V311, CleanStart: true,
		Dial:      func(ctx context.Context) (net.Conn, error) { return transport.Dial(ctx, u, transport.DialConfig{}) },
		OnMessage: func(m client.Message) { got <- m.Topic },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	if _, err := c.Subscribe(t.Context(), []client.Subscription{{Filter: prefix + "/#"}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PublishWait(t.Context(), client.Message{Topic: prefix + "/end"}); err != nil {
		t.Fatal(err)
	}
	if first := <-got; first != prefix+"/end" {
		t.Errorf("%s is still retained", first)
	}
}

// Whoever asks for a session expiry gets no sessions of ours with it.
func TestSessionsEndWithTheirConnections(t *testing.T) {
	server := servetest.Start(t, nil)
	var mu sync.Mutex
	kept := 0
	examine(t, server.URLs()[0], func(c *doctor.Config) {
		c.Properties = mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 3600)
		c.Only, c.Version = []string{"qos", "retained", "wildcards"}, mqtt.V5
		c.OnPacket = func(mqtt.Version) func(client.Direction, []byte) {
			return func(d client.Direction, b []byte) {
				mu.Lock()
				defer mu.Unlock()
				if d == client.Sent && b[0] == 0x10 && bytes.Contains(b, []byte{byte(mqtt.PropSessionExpiryInterval), 0, 0, 0x0e, 0x10}) {
					kept++
				}
			}
		}
	})
	if kept > 1 { // the first one ends its session when it leaves
		t.Errorf("%d sessions are left", kept)
	}
}
