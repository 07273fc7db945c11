// Package control is the HTTP interface of a running proxy: JSON on a loopback port
// or a Unix socket.
//
//	GET    /v1/connections          who is connected
//	POST   /v1/connections/7/end    {"how":"close"} or {"how":"reset"}
//	GET    /v1/rules                the rules of faults, and what they have done
//	POST   /v1/rules                {"rule":"drop @ s2c PUBACK / nth=3"}
//	DELETE /v1/rules/acks
//	POST   /v1/release              {"rule":"acks","count":1}; without rule all, without count all
//	GET    /v1/brokers
//	POST   /v1/brokers/drain        {"broker":"mqtt://10.0.0.1:1883","drain":true}
//	GET    /v1/counters
//
// Mistakes are answered by {"error":…,"hint":…} and a status above 399.
//
// # Who may ask
//
// Pages in a browser may not: requests with an Origin are refused, those whose Host is
// not what the server listens at, where there is no token, and bodies that do not say
// that they are JSON. On addresses that are not loopback every request needs the token.
package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/proxy"
)

// Faults are the rules of a proxy.
type Faults interface {
	Add(rule string) (name string, err error)
	Remove(name string) error
	// Rules is what is to be shown of the rules.
	Rules() any
	Release(rule string, count int) (released int, err error)
}

// Brokers are those of a proxy.
type Brokers interface {
	Brokers() []proxy.BrokerStatus
	Drain(name string, on bool) error
}

// Config is what a server needs.
type Config struct {
	Faults      Faults
	Brokers     Brokers
	Connections *Connections
	// Token is needed by every request that is not to a loopback address or a Unix
	// socket, and where it is set by those, too.
	Token string
}

// ErrNotFound in what Faults returns is answered by 404.
var ErrNotFound = errors.New("not found")

// Mistake is an error of a rule, with what to do about it.
type Mistake interface {
	error
	Remedy() string
}

// ErrNoToken is that of Listen at an address that needs a token.
var ErrNoToken = errors.New("there is no token")

// Listen opens host:port, or unix:///path.
func Listen(ctx context.Context, address string, token string) (net.Listener, error) {
	var lc net.ListenConfig
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		return listenUnix(ctx, path)
	}
	address = strings.TrimPrefix(address, "http://")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "" {
		address = "127.0.0.1" + address
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if token == "" && !isLoopback(l.Addr()) {
		_ = l.Close()
		return nil, fmt.Errorf("%s can be reached from other machines, and %w", l.Addr(), ErrNoToken)
	}
	return l, nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// Serve answers on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, c Config) error {
	srv := &http.Server{
		Handler: Handler(c, l.Addr()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); _ = srv.Close() })
	err := srv.Serve(l)
	if !stop() {
		<-closed
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler answers requests that came in at an address.
func Handler(c Config, at net.Addr) http.Handler {
	mux := http.NewServeMux()
	s := &server{c}
	mux.HandleFunc("GET /v1/connections", s.connections)
	mux.HandleFunc("POST /v1/connections/{number}/end", s.end)
	mux.HandleFunc("GET /v1/rules", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.Faults.Rules()) })
	mux.HandleFunc("POST /v1/rules", s.add)
	mux.HandleFunc("DELETE /v1/rules/{name}", s.remove)
	mux.HandleFunc("POST /v1/release", s.release)
	mux.HandleFunc("GET /v1/brokers", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.Brokers.Brokers()) })
	mux.HandleFunc("POST /v1/brokers/drain", s.drain)
	mux.HandleFunc("GET /v1/counters", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.Connections.Counters()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			other := &http.Request{Method: m, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(other); pattern != "/" {
				w.Header().Set("Allow", m)
				refuse(w, http.StatusMethodNotAllowed, r.Method+" is not for "+strconv.Quote(r.URL.Path), pattern)
				return
			}
		}
		refuse(w, http.StatusNotFound, "nothing is at "+strconv.Quote(r.URL.Path), "GET /v1/connections, /v1/rules, /v1/brokers, /v1/counters")
	})
	return guard(mux, c.Token, at)
}

// guard refuses what a browser may have sent for somebody else, and who has no token.
func guard(next http.Handler, token string, at net.Addr) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(bearer))
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case r.Header.Get("Origin") != "", site != "" && site != "none":
			refuse(w, http.StatusForbidden, "pages of browsers may not ask", "")
		case token == "" && !ours(r.Host, at): // a page has no token
			refuse(w, http.StatusForbidden, fmt.Sprintf("%q is not the address of this server", r.Host), "ask http://"+at.String())
		case token != "" && (!ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1):
			refuse(w, http.StatusUnauthorized, "no token, or another one", "Authorization: Bearer TOKEN")
		case r.Method != http.MethodGet && r.Method != http.MethodDelete && !isJSON(r):
			refuse(w, http.StatusUnsupportedMediaType, "the body is to be JSON", "Content-Type: application/json")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

// ours tells whether a Host is the address that the server listens at: with the name
// of somebody else a page could have had it resolved to here.
func ours(host string, at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return true // a Unix socket has no names
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
	}
	if port != strconv.Itoa(tcp.Port) {
		return false
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	_, err = netip.ParseAddr(name) // a number cannot be rebound
	return err == nil
}

type server struct{ Config }

func (s *server) connections(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.Connections.List())
}

func (s *server) end(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		How string `json:"how"`
	}
	if !read(w, r, &ask) {
		return
	}
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the number of a connection is a number", "GET /v1/connections")
		return
	}
	e := &proxy.End{Why: "control", Err: errors.New("by hand")}
	switch ask.How {
	case "", "close":
	case "reset":
		e.Manner = proxy.Reset
	default:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("%q is no way to end", ask.How), `{"how":"close"} or {"how":"reset"}`)
		return
	}
	if !s.Connections.End(number, e) {
		refuse(w, http.StatusNotFound, "there is no connection "+r.PathValue("number"), "GET /v1/connections")
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

func (s *server) add(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Rule string `json:"rule"`
	}
	if !read(w, r, &ask) {
		return
	}
	name, err := s.Faults.Add(ask.Rule)
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusCreated, map[string]string{"name": name})
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	if err := s.Faults.Remove(r.PathValue("name")); err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

func (s *server) release(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Rule  string `json:"rule"`
		Count *int   `json:"count"`
	}
	if !read(w, r, &ask) {
		return
	}
	count := -1
	if ask.Count != nil {
		count = max(*ask.Count, 0)
	}
	n, err := s.Faults.Release(ask.Rule, count)
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]int{"released": n})
}

func (s *server) drain(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Broker string `json:"broker"`
		Drain  *bool  `json:"drain"`
	}
	if !read(w, r, &ask) {
		return
	}
	if err := s.Brokers.Drain(ask.Broker, ask.Drain == nil || *ask.Drain); err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

// maxBody is how long a body may be, in bytes.
const maxBody = 64 << 10

// read reads the body into v. When it returns false, the answer has been given.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = errors.New("there is more behind the object")
		}
	}
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return true
	case errors.As(err, &kind) && kind.Field == "":
		err = fmt.Errorf("%s in place of an object", kind.Value)
	case errors.As(err, &kind):
		err = fmt.Errorf("%s cannot be %s", kind.Field, kind.Value)
	}
	refuse(w, http.StatusBadRequest, "the body: "+err.Error(), "")
	return false
}

func failed(w http.ResponseWriter, err error) {
	status, hint := http.StatusBadRequest, ""
	if errors.Is(err, ErrNotFound) || errors.Is(err, proxy.ErrNoBroker) {
		status = http.StatusNotFound
	}
	if m := Mistake(nil); errors.As(err, &m) {
		hint = m.Remedy()
	}
	refuse(w, status, err.Error(), hint)
}

func refuse(w http.ResponseWriter, status int, text, hint string) {
	answer(w, status, struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{text, hint})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}
