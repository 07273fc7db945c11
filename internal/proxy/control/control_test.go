package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
)

func TestMain(m *testing.M) {
	// net/http waits half a second before it closes on who has sent too much.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// rules is a Faults that keeps texts.
type rules map[string]string

func (r rules) Add(text string) (string, error) {
	if text == "" {
		return "", mistake{}
	}
	r["1"] = text
	return "1", nil
}

type mistake struct{}

func (mistake) Error() string  { return "column 1: no action" }
func (mistake) Remedy() string { return "drop @ s2c" }

func (r rules) Remove(name string) error {
	if _, ok := r[name]; !ok {
		return errors.Join(ErrNotFound, errors.New("no rule"))
	}
	delete(r, name)
	return nil
}

func (r rules) Rules() any                               { return r }
func (r rules) Release(_ string, count int) (int, error) { return count, nil }

// asker asks a server.
type asker struct {
	t      *testing.T
	base   string
	client *http.Client
	header http.Header
}

func newAsker(t *testing.T, l net.Listener, c Config) *asker {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, c) }()
	tr := &http.Transport{}
	if l.Addr().Network() == "unix" {
		path := l.(*unixListener).path
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	base := "http://" + l.Addr().String()
	if l.Addr().Network() == "unix" {
		base = "http://proxy"
	}
	return &asker{t, base, &http.Client{Transport: tr, Timeout: proxytest.Limit}, http.Header{"Content-Type": {"application/json"}}}
}

// ask returns status and body of an answer.
func (a *asker) ask(method, path, body string, change ...func(*http.Request)) (int, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header = a.header.Clone()
	for _, c := range change {
		c(r)
	}
	res, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}

func (a *asker) want(method, path, body string, status int, part string, change ...func(*http.Request)) {
	a.t.Helper()
	got, text := a.ask(method, path, body, change...)
	if got != status || !strings.Contains(text, part) {
		a.t.Errorf("%s %s: %d %s, want %d and %s", method, path, got, text, status, part)
	}
}

func TestControlOfARunningProxy(t *testing.T) {
	conns := NewConnections()
	e := proxytest.Start(t, proxytest.Broker(t), func(c *proxy.Config) { c.Stages = []proxy.Factory{conns} })
	l, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	a := newAsker(t, l, Config{Faults: rules{}, Brokers: e, Connections: conns})
	a.want("GET", "/v1/connections", "", 200, "[]")
	c := proxytest.Connect(t, proxytest.URL(e), mqtt.V5, "ana")
	_, text := a.ask("GET", "/v1/connections", "")
	var list []Status
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 || list[0].ClientID != "ana" || list[0].Version != "5.0" || list[0].Sent.Packets != 1 || list[0].Broker == "" {
		t.Fatalf("%s: %v", text, err)
	}
	a.want("GET", "/v1/counters", "", 200, `"open":1,"total":1,"c2s":{"packets":1`)
	a.want("POST", "/v1/connections/99/end", "", 404, "no connection 99")
	a.want("POST", "/v1/connections/1/end", `{"how":"gently"}`, 400, "gently")
	a.want("POST", "/v1/connections/1/end", `{"how":"close"}`, 200, "{}")
	c.Closed()

	broker := e.Brokers()[0].URL
	a.want("POST", "/v1/brokers/drain", `{"broker":"`+broker+`"}`, 200, "{}")
	a.want("GET", "/v1/brokers", "", 200, `"drained":true`)
	a.want("POST", "/v1/brokers/drain", `{"broker":"`+broker+`","drain":false}`, 200, "{}")
	a.want("GET", "/v1/brokers", "", 200, `"drained":false`)
	a.want("POST", "/v1/brokers/drain", `{"broker":"mqtt://nowhere:1"}`, 404, "no broker of that name")

	a.want("POST", "/v1/rules", `{"rule":"drop @ s2c PUBACK"}`, 201, `{"name":"1"}`)
	a.want("GET", "/v1/rules", "", 200, "drop @ s2c PUBACK")
	a.want("DELETE", "/v1/rules/1", "", 200, "{}")
	a.want("DELETE", "/v1/rules/1", "", 404, "no rule", func(r *http.Request) { r.Header.Del("Content-Type") }) // as curl -X DELETE asks
	a.want("POST", "/v1/rules", `{"rule":""}`, 400, `"error":"column 1: no action","hint":"drop @ s2c"`)
	a.want("POST", "/v1/release", `{"count":3}`, 200, `{"released":3}`)
	a.want("POST", "/v1/release", "", 200, `{"released":-1}`)
	a.want("GET", "/v2", "", 404, "nothing is at")
}

func TestPagesOfBrowsersAreRefused(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	a := newAsker(t, l, Config{Faults: rules{}, Connections: NewConnections()})
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	_, port, _ := net.SplitHostPort(l.Addr().String())
	a.want("GET", "/v1/rules", "", 403, "browsers", header("Origin", "http://evil.example"))
	a.want("GET", "/v1/rules", "", 403, "browsers", header("Sec-Fetch-Site", "cross-site"))
	a.want("GET", "/v1/rules", "", 403, "not the address", host("evil.example:"+port))
	a.want("GET", "/v1/rules", "", 403, "not the address", host("127.0.0.1:1"))
	a.want("GET", "/v1/rules", "", 200, "{}", host("localhost:"+port))
	a.want("POST", "/v1/rules", `{"rule":"drop"}`, 415, "JSON", header("Content-Type", "text/plain"))
	a.want("POST", "/v1/rules", `{"rule":"drop"}`, 415, "JSON", func(r *http.Request) { r.Header.Del("Content-Type") })
	a.want("POST", "/v1/rules", `{"rule":"drop","x":1}`, 400, "unknown field")
	a.want("POST", "/v1/rules", `{"rule":"drop"} {"rule":"dup"}`, 400, "more behind the object")
	a.want("POST", "/v1/rules", `["drop"]`, 400, "array in place of an object")
	a.want("POST", "/v1/rules", `{"rule":7}`, 400, "rule cannot be number")
	a.want("PUT", "/v1/rules", `{"rule":"drop"}`, 405, `PUT is not for \"/v1/rules\"`)
	a.want("DELETE", "/v1/rules/none", "", 404, "no rule", func(r *http.Request) { r.Header.Del("Content-Type") })
	a.want("POST", "/v1/rules", `{"rule":"`+strings.Repeat("x", maxBody)+`"}`, 400, "too large")
}

func TestTokenIsNeededBeyondThisMachine(t *testing.T) {
	if _, err := Listen(t.Context(), "0.0.0.0:0", ""); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Error(err)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", "secret")
	if err != nil {
		t.Fatal(err)
	}
	a := newAsker(t, l, Config{Faults: rules{}, Connections: NewConnections(), Token: "secret"})
	bearer := func(v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", v) }
	}
	a.want("GET", "/v1/rules", "", 401, "no token")
	a.want("GET", "/v1/rules", "", 401, "no token", bearer("Bearer other"))
	a.want("GET", "/v1/rules", "", 200, "{}", bearer("Bearer secret"))
}

func TestControlAtAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	for range 2 { // the second one finds no socket of the first
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		l, err := Listen(ctx, "unix://"+path, "")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Run("ask", func(t *testing.T) {
			newAsker(t, l, Config{Faults: rules{}, Connections: NewConnections()}).want("GET", "/v1/rules", "", 200, "{}")
		})
	}
}
