package proxytest_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth/aclfile"
	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/clienttest"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gatewaymqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/access"
	"github.com/iotctl/iotctl/internal/proxy/limits"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/proxy/rewrite"
	"github.com/iotctl/iotctl/internal/proxy/translate"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
)

// stage makes a factory in a list of stages, or fails the test.
func stage[C any, F proxy.Factory](t testing.TB, open func(C) (F, error), c C) proxy.Factory {
	t.Helper()
	f, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestClientsNoticeNothing runs the suite that every client passes by proxies whose
// stages look at every packet, or change what neither side is to notice.
func TestClientsNoticeNothing(t *testing.T) {
	looking := func(t testing.TB) []proxy.Factory {
		return []proxy.Factory{
			stage(t, access.New, access.Config{Rules: []string{"deny publish topic=never/%c/#"}}),
			stage(t, limits.New, limits.Config{
				ConnectionsPerAddress: 1000,
				Publish:               limits.Flow{PacketSize: limits.Size{MostBytes: 2 << 20, Over: limits.Disconnect}},
				Deliver:               limits.Flow{InFlight: limits.Count{Most: 65535}},
			}),
		}
	}
	for name, stages := range map[string]func(testing.TB) []proxy.Factory{
		"looked at": looking,
		"renamed": func(t testing.TB) []proxy.Factory {
			return append(looking(t), stage(t, rewrite.New, rewrite.Config{
				Topics:   rewrite.Topics{Prefix: "site/1/", Map: []rewrite.Mapping{{From: "mapped/(.*)", To: "m/$1"}}},
				ClientID: "site1-%c",
			}))
		},
		"translated": func(t testing.TB) []proxy.Factory {
			return append(looking(t), stage(t, translate.New, translate.Config{To: "5.0"}))
		},
	} {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				clienttest.Run(t, v, client.New, func(t *testing.T, c clienttest.Config) *clienttest.Broker {
					return behindProxy(t, c, stages(t))
				})
			})
		}
	}
}

// behindProxy starts our broker, and a proxy that stays when it is restarted.
func behindProxy(t *testing.T, c clienttest.Config, stages []proxy.Factory) *clienttest.Broker {
	t.Helper()
	kept := mem.New()
	config := serve.Config{
		Builtin:   servetest.Builtin(),
		Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}},
		Methods:   methodsFor(t, c),
		Gateways:  map[string]any{"mqtt": gatewaymqtt.Config{MaxPacketBytes: 2 << 20}},
	}
	config.Listeners[0].MaxConnRate = -1
	config.Builtin.Methods = []serve.Method{
		serve.NewMethod("password_file", "password", serve.Everywhere, func(_ *slog.Logger, f serve.File) (serve.Checks, error) {
			p, err := passwordfile.New(passwordfile.Config{Path: string(f)})
			return serve.Checks{Authenticator: p}, err
		}),
		serve.NewMethod("acl_file", "", serve.Nowhere, func(_ *slog.Logger, f serve.File) (serve.Checks, error) {
			a, err := aclfile.New(aclfile.Config{Path: string(f)})
			return serve.Checks{Authorizer: a}, err
		}),
	}
	config.Builtin.Stores = []serve.Store{
		serve.NewStore("mem", func(*slog.Logger, struct{}) (store.Store, error) { return kept, nil }),
	}
	var server *serve.Server
	start := func() {
		var err error
		if server, err = serve.Start(context.Background(), config); err != nil {
			t.Fatal(err)
		}
		config.Listeners[0].URL = server.URLs()[0] // the same port after a restart
	}
	stop := func() {
		if server == nil {
			return
		}
		if err := server.Close(); err != nil {
			t.Error("server:", err)
		}
		server = nil
	}
	start()
	t.Cleanup(stop)
	here := new(present)
	e := proxytest.Start(t, config.Listeners[0].URL, func(p *proxy.Config) { p.Stages = append(stages, here) })
	return &clienttest.Broker{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, proxytest.URL(e), transport.DialConfig{})
		},
		Stop:  func() { stop(); here.none(t) },
		Start: start, MuteTakeover: true,
	}
}

// present is a stage that knows how many connections there are.
type present struct{ n atomic.Int64 }

func (p *present) Open(*proxy.Conn) (proxy.Stage, error) { p.n.Add(1); return p, nil }
func (p *present) Ended(*proxy.End)                      { p.n.Add(-1) }

func (p *present) Handle(_ context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	return emit(f)
}

// none waits for the proxy to have passed the end of a broker on.
func (p *present) none(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(proxytest.Limit); p.n.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections go on without a broker", p.n.Load())
		}
	}
}

func methodsFor(t *testing.T, c clienttest.Config) map[string]any {
	methods := map[string]any{}
	if c.User != "" {
		file := filepath.Join(t.TempDir(), "passwords")
		if err := passwordfile.Put(file, c.User, []byte(c.Password)); err != nil {
			t.Fatal(err)
		}
		methods["password_file"] = serve.File(file)
	}
	if c.Deny != "" {
		file := filepath.Join(t.TempDir(), "acl")
		rules := "topic readwrite #\ntopic deny " + c.Deny + "\ntopic deny site/1/" + c.Deny + "\n"
		if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		methods["acl_file"] = serve.File(file)
	}
	return methods
}

// TestEveryMessageArrivesWhateverIsTranslated sends messages of all kinds between
// clients of all versions, by proxies to brokers of all versions.
func TestEveryMessageArrivesWhateverIsTranslated(t *testing.T) {
	broker := proxytest.Broker(t)
	one := uint8(1)
	for name, stages := range map[string]func() []proxy.Factory{
		"to 3.1":   func() []proxy.Factory { return []proxy.Factory{stage(t, translate.New, translate.Config{To: "3.1"})} },
		"to 3.1.1": func() []proxy.Factory { return []proxy.Factory{stage(t, translate.New, translate.Config{To: "3.1.1"})} },
		"to 5.0":   func() []proxy.Factory { return []proxy.Factory{stage(t, translate.New, translate.Config{To: "5.0"})} },
		"rewritten and translated": func() []proxy.Factory {
			return []proxy.Factory{
				stage(t, limits.New, limits.Config{Publish: limits.Flow{InFlight: limits.Count{Most: 3}}, Deliver: limits.Flow{InFlight: limits.Count{Most: 2}}}),
				stage(t, rewrite.New, rewrite.Config{
					Topics:  rewrite.Topics{Prefix: "all/"},
					Publish: rewrite.Message{MinQoS: 1}, Deliver: rewrite.Message{MaxQoS: &one},
				}),
				stage(t, translate.New, translate.Config{To: "3.1.1"}),
			}
		},
	} {
		e := proxytest.Start(t, broker, func(c *proxy.Config) { c.Stages, c.Logger = stages(), nil })
		for _, from := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			for _, to := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
				t.Run(fmt.Sprintf("%s/%v to %v", name, from, to), func(t *testing.T) {
					exchange(t, proxytest.URL(e), from, to)
				})
			}
		}
	}
}

// exchange sends messages from a client of one version to one of another.
func exchange(t *testing.T, url string, from, to mqtt.Version) {
	const messages = 200
	rnd := rand.New(rand.NewPCG(1, uint64(from)<<8|uint64(to)))
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Limit)
	defer cancel()
	var mu sync.Mutex
	got := make(map[string]int)
	open := func(id string, v mqtt.Version) *client.Client {
		c, err := client.New(client.Options{
			Dial:    func(ctx context.Context) (net.Conn, error) { return transport.Dial(ctx, url, transport.DialConfig{}) },
			Version: v, ClientID: id, CleanStart: true, KeepAlive: 30,
			OnMessage: func(m client.Message) {
				mu.Lock()
				defer mu.Unlock()
				got[string(m.Payload)]++
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	sub, pub := open("sub", to), open("pub", from)
	topic := t.Name() + "/"
	if _, err := sub.Subscribe(ctx, []mqtt.Subscription{{Filter: topic + "+", QoS: 2}}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		m := client.Message{Topic: topic + fmt.Sprint(i%7), Payload: fmt.Append(nil, i), QoS: uint8(rnd.IntN(3)), Retain: rnd.IntN(9) == 0}
		if err := pub.Publish(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := pub.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		mu.Lock()
		n := len(got)
		mu.Unlock()
		if n == messages {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%d of %d messages have arrived", n, messages)
		}
		time.Sleep(time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	for payload, n := range got {
		if n != 1 {
			t.Errorf("message %s has arrived %d times", payload, n)
		}
	}
}
