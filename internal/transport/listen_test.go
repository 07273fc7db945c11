package transport

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestAccessRules(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rules []string
		deny  []string
		allow []string
	}{
		{"none", nil, nil, []string{"192.0.2.1", "2001:db8::1"}},
		{"no match allows", []string{"deny 192.0.2.1"}, []string{"192.0.2.1"}, []string{"192.0.2.2"}},
		{
			"first match wins",
			[]string{"deny 10.0.0.1", "allow 10.0.0.0/8", "deny all"},
			[]string{"10.0.0.1", "192.0.2.1", "2001:db8::1"},
			[]string{"10.0.0.2"},
		},
		{"host bits are masked off", []string{"allow 10.1.2.3/8", "deny all"}, []string{"11.0.0.0"}, []string{"10.9.9.9"}},
		{"mapped addresses match IPv4 rules", []string{"deny 192.0.2.0/24"}, []string{"::ffff:192.0.2.7"}, []string{"::ffff:192.0.3.7"}},
		{"mapped rules match IPv4 addresses", []string{"deny ::ffff:192.0.2.0/120"}, []string{"192.0.2.7"}, []string{"192.0.3.7"}},
		{"IPv6", []string{"deny 2001:db8::/32"}, []string{"2001:db8:1::1"}, []string{"2001:db9::1"}},
		{"zone", []string{"deny fe80::/10"}, []string{"fe80::1%eth0"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := MQTTSchemes()[0]
			set, err := newSettings(ListenConfig{Access: tc.rules}, &s)
			if err != nil {
				t.Fatal(err)
			}
			check := func(addresses []string, want bool) {
				for _, a := range addresses {
					ip := netip.MustParseAddr(a)
					from := addrPort(&net.TCPAddr{IP: ip.AsSlice(), Zone: ip.Zone()})
					if got := allowed(set.rules, from.Addr()); got != want {
						t.Errorf("%s: allowed %v", a, got)
					}
				}
			}
			check(tc.deny, false)
			check(tc.allow, true)
		})
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	err := ListenConfig{
		Access: []string{"allow all", "forbid all", "deny 300.0.0.1"}, Proxies: []string{"unix", "x"},
		Acceptors: -1, MaxPerSource: -1, HandshakeTimeout: -1, ByteRate: Rate{Count: 1}, UnixMode: fs.ModeSetuid,
		WebSocket: WebSocketConfig{Origins: []string{"example.com"}},
	}.Validate()
	for _, want := range []string{
		"access[1]:", "access[2]:", "proxies[1]:", "acceptors:", "max_per_source:", "handshake_timeout:", "rate_limit.bytes:", "unix_mode:", "websocket.origins[0]:",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := (ListenConfig{}).Validate(); err != nil {
		t.Errorf("zero value: %v", err)
	}
}

// refusedBy dials until the listener's accept loop has refused n connections.
func refusedBy(t *testing.T, l Listener, why string, n int) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	for range n {
		if b := closedByPeer(t, rawDial(t, l)); len(b) > 0 {
			t.Errorf("a refused connection got %q", b)
		}
	}
	if got := l.Counters().Refused; got[why] != uint64(n) || len(got) != 1 {
		t.Errorf("refused %v, want %d by %s", got, n, why)
	}
	_ = l.Close()
	<-ended
}

func TestItem13LimitsOfConnections(t *testing.T) {
	ca := newTestCA(t)
	for _, tc := range []struct {
		name, scheme, why string
		cfg               ListenConfig
		first             int // let in before the limit
	}{
		{"rule", "mqtt", RefusedRule, ListenConfig{Access: []string{"deny 127.0.0.0/8"}}, 0},
		{"max", "mqtt", RefusedMax, ListenConfig{MaxConnections: 2}, 2},
		{"max, before the handshake", "mqtts", RefusedMax, ListenConfig{MaxConnections: 2}, 2},
		{"source", "mqtt", RefusedSource, ListenConfig{MaxPerSource: 3}, 3},
		{"rate", "mqtt", RefusedRate, ListenConfig{MaxConnRate: 1}, 1},
		{"handshakes", "mqtts", RefusedHandshakes, ListenConfig{MaxHandshakes: 2}, 2}, // F.2 item 14
		{"proxy", "mqtt", RefusedProxy, ListenConfig{Proxies: []string{"192.0.2.1"}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.TLS = ca.server
			l := server(t, tc.scheme+"://127.0.0.1:0", tc.cfg)
			for range tc.first {
				rawDial(t, l)
				accepted(t, l)
			}
			n := 3
			if tc.why == RefusedRate {
				n = 1 // a second later there is another token
			}
			refusedBy(t, l, tc.why, n)
			if c := l.Counters(); c.Open != tc.first || c.Accepted != uint64(tc.first) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestClosedConnectionsMakeRoom(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{MaxConnections: 1, MaxPerSource: 1, MaxHandshakes: 1})
	for range 5 {
		client, srv := pair(t, l, DialConfig{})
		_ = srv.CloseReason("done")
		_ = client.Close()
	}
	want := ListenerCounters{Accepted: 5, Closed: map[string]uint64{"done": 5}}
	if d := cmp.Diff(want, l.Counters()); d != "" {
		t.Error(d)
	}
}

func TestConnectionsClosedBeforeTheirHandshakeMakeRoom(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{MaxHandshakes: 1})
	for range 3 {
		rawDial(t, l)
		_ = accepted(t, l).CloseReason("unwanted")
	}
	want := ListenerCounters{Accepted: 3, Closed: map[string]uint64{"unwanted": 3}}
	if d := cmp.Diff(want, l.Counters()); d != "" {
		t.Error(d)
	}
}

func TestApplyChangesLimitsForNewConnections(t *testing.T) {
	l := server(t, "mqtt://127.0.0.1:0", ListenConfig{})
	client, srv := pair(t, l, DialConfig{})
	if err := l.Apply(ListenConfig{Access: []string{"forbid all"}}); err == nil {
		t.Fatal("a wrong rule was accepted")
	}
	if err := l.Apply(ListenConfig{Access: []string{"deny all"}, MaxPerSource: 1}); err != nil {
		t.Fatal(err)
	}
	_, _ = client.Write([]byte("x"))
	if _, err := srv.Read(make([]byte, 1)); err != nil {
		t.Errorf("the open connection broke: %v", err)
	}
	refusedBy(t, l, RefusedRule, 1)
}

func TestCloseReasonsAreBounded(t *testing.T) {
	var tl tally
	for i := range 1000 {
		var e entry
		tl.enter(&e, &ListenConfig{}, false)
		tl.close(&e, strings.Repeat("x", i))
	}
	if c := tl.snapshot(); len(c.Closed) > maxReasons+1 || c.Closed["other"] != 900 {
		t.Errorf("%d reasons, %d others", len(c.Closed), c.Closed["other"])
	}
}

// flaky fails with err n times before it hands out a connection.
type flaky struct {
	net.Listener
	mu  sync.Mutex
	n   int
	err error
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	failing := f.n > 0
	f.n--
	f.mu.Unlock()
	if failing {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", f.err)}
	}
	return f.Listener.Accept()
}

func TestAcceptSurvivesEMFILE(t *testing.T) {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED} {
		synctest.Test(t, func(t *testing.T) {
			pipe := transporttest.NewPipeListener()
			var log bytes.Buffer
			l, err := NewListener(&flaky{Listener: pipe, n: 20, err: errno}, "mqtt://127.0.0.1", ListenConfig{
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			go func() {
				c, err := pipe.Dial()
				if err == nil {
					_ = c.Close()
				}
			}()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			if d := time.Since(begin); d < 12*time.Second || d > 20*time.Second { // 5 ms, doubled up to 1 s
				t.Errorf("waited %s", d)
			}
			if n := l.Counters().AcceptErrors; n != 20 || !strings.Contains(log.String(), "cannot accept connections") {
				t.Errorf("%d errors, log %q", n, log.String())
			}
			_ = l.Close()
		})
	}
}

func TestCloseEndsAPausedAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := NewListener(&flaky{Listener: transporttest.NewPipeListener(), n: 1 << 30, err: syscall.EMFILE}, "mqtt://127.0.0.1", ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*time.Second, func() { _ = l.Close() })
		if _, err := l.Accept(); err != net.ErrClosed {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseEndsEveryAccept(t *testing.T) {
	l := server(t, "mqtt://127.0.0.1:0", ListenConfig{})
	ended := make(chan error)
	for range 4 {
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
	}
	_ = l.Close()
	for range 4 {
		if err := <-ended; err != net.ErrClosed {
			t.Errorf("%v", err)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestListenerURL(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0/a%20b", ListenConfig{})
	if want := "ws://" + l.Addr().String() + "/a%20b"; l.URL() != want {
		t.Errorf("%s, want %s", l.URL(), want)
	}
	pair(t, l, DialConfig{}) // the URL can be dialed
	c := l.Config()
	if c.MaxConnections != DefaultMaxConnections || c.Acceptors < 1 || l.Scheme().Protocol != "mqtt" {
		t.Errorf("%+v", c)
	}
	v6, err := Listen(t.Context(), "mqtt://[::1]:0", ListenConfig{})
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	defer v6.Close()
	if !strings.HasPrefix(v6.URL(), "mqtt://[::1]:") {
		t.Error(v6.URL())
	}
	pair(t, v6, DialConfig{})
}

func TestIPv4AddressStandsForIPv4Alone(t *testing.T) {
	reaches := func(l Listener, address string) bool {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		nc, err := net.Dial("tcp", net.JoinHostPort(address, port))
		if err == nil {
			nc.Close()
		}
		return err == nil
	}
	if v6, err := Listen(t.Context(), "mqtt://[::1]:0", ListenConfig{}); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		v6.Close()
	}
	for _, tc := range []struct {
		host   string
		v4, v6 bool
	}{{"0.0.0.0", true, false}, {"[::]", true, true}, {"", true, true}} {
		l := server(t, "mqtt://"+tc.host+":0", ListenConfig{})
		if v4, v6 := reaches(l, "127.0.0.1"), reaches(l, "::1"); v4 != tc.v4 || v6 != tc.v6 {
			t.Errorf("host %q: IPv4 %v, IPv6 %v, want %v and %v", tc.host, v4, v6, tc.v4, tc.v6)
		}
	}
}

func TestOwnScheme(t *testing.T) {
	schemes := append(MQTTSchemes(), Scheme{Name: "text", Protocol: "iottext", Network: "tcp", Port: 8091})
	l := server(t, "text://127.0.0.1:0", ListenConfig{Schemes: schemes})
	client, srv := pair(t, l, DialConfig{Schemes: schemes})
	if i := srv.Info(); i.Protocol != "iottext" || i.Scheme != "text" {
		t.Errorf("%+v", i)
	}
	_, _ = srv.Write([]byte("\x15\x03\x01")) // means nothing in this protocol
	if _, err := client.Read(make([]byte, 3)); err != nil {
		t.Error(err)
	}
	if len(MQTTSchemes()) != 5 {
		t.Error("the table was changed")
	}
}

func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	url := "unix://" + path
	l := server(t, url, ListenConfig{UnixMode: 0o600})
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", i.Mode(), err)
	}
	if _, err := Listen(t.Context(), url, ListenConfig{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("taken over from a live listener: %v", err)
	}
	c, err := l.Accept() // the attempt's connection, which it closed
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	pair(t, l, DialConfig{})
	_ = l.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}

	// What a killed process leaves behind.
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	l = server(t, url, ListenConfig{})
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != DefaultUnixMode {
		t.Errorf("%v, %v", i.Mode(), err)
	}
	pair(t, l, DialConfig{})

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), "unix://"+file, ListenConfig{}); err == nil {
		t.Error("a file was replaced by a socket")
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("%q", b)
	}
}

// pipePair is a pair without a network, for synctest.
func pipePair(t *testing.T, cfg ListenConfig) (client net.Conn, srv Conn) {
	t.Helper()
	return pipePairAt(t, "mqtt://127.0.0.1", cfg)
}

func pipePairAt(t *testing.T, url string, cfg ListenConfig) (client net.Conn, srv Conn) {
	t.Helper()
	pipe := transporttest.NewPipeListener()
	l, err := NewListener(pipe, url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	dialed := make(chan net.Conn)
	go func() {
		c, _ := pipe.Dial()
		dialed <- c
	}()
	if srv, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	client = <-dialed
	t.Cleanup(func() {
		_ = srv.Close()
		_ = client.Close()
		_ = l.Close()
	})
	return client, srv
}

func TestPipesWorkWithoutKernelSockets(t *testing.T) {
	client, srv := pipePair(t, ListenConfig{})
	go func() { _, _ = client.Write([]byte("x")) }()
	if b, n, err := srv.ReadWith(func() []byte { return make([]byte, 10) }); err != nil || string(b[:n]) != "x" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if n, err := srv.TryWrite([]byte("x")); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	go func() { _, _ = io.Copy(io.Discard, client) }()
	if n, err := srv.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
