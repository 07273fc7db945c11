package serve_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/transport"
)

const everyKey = `
listeners:
  - url: mqtt://127.0.0.1:1884
    name: plain
    acceptors: 2
    max_connections: 10
    max_conn_rate: 20
    max_per_source: 3
    max_handshakes: 4
    access: [deny 192.0.2.1, allow all]
    proxies: [10.0.0.0/8]
    rate_limit: {messages: 100/10s, bytes: 100KB/10s}
    handshake_timeout: 5s
    proxy_timeout: 1s
    nagle: true
    tcp_keep_alive: 1m
    read_buffer: 4KiB
    write_buffer: 8192
  - url: wss://0.0.0.0:8084/mqtt
    tls:
      cert: server.pem
      key: /etc/iotctl/key.pem
      client_ca: ca.pem
      client_auth: request
      min_version: 1.3
      max_version: 1.3
      ciphers: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
      alpn: [mqtt]
    websocket:
      origins: ["https://example.com"]
      subprotocols: [mqtt]
      any_subprotocol: true
  - url: unix:///run/iotctl.sock
    unix_mode: 0600
auth:
  allow_anonymous: false
  names_file: names
mqtt:
  max_packet_bytes: 64KiB
  receive_maximum: 5
  max_inflight: 6
  topic_alias_maximum: -1
  connect_timeout: 3s
  max_keep_alive: 10m
  session_expiry: 2d
  pending_bytes: 1MiB
  send_timeout: 15s
  response_information: "-"
broker:
  queue: {messages: 7, bytes: 1MiB}
  max_sessions: 8
  max_sessions_per_owner: 9
  max_subscriptions: 10
  max_retained: 11
  max_retained_bytes: 12
  max_session_expiry: 1h
  shared: sticky
sys_interval: 0
store:
  type: mem
log: {level: debug, format: json}
drain_timeout: 20s
certificate_check: 0
`

func TestFileHasEveryOption(t *testing.T) {
	// Files are looked at by Check, not here.
	got, err := serve.Load([]byte(everyKey), "/etc/iotctl/iotctl.yaml", builtinWithMethods())
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := serve.Config{
		Listeners: []serve.Listener{
			{URL: "mqtt://127.0.0.1:1884", ListenConfig: transport.ListenConfig{
				Name: "plain", Acceptors: 2, MaxConnections: 10, MaxConnRate: 20, MaxPerSource: 3, MaxHandshakes: 4,
				Access: []string{"deny 192.0.2.1", "allow all"}, Proxies: []string{"10.0.0.0/8"},
				MessageRate: transport.Rate{Count: 100, Per: 10 * time.Second}, ByteRate: transport.Rate{Count: 102400, Per: 10 * time.Second},
				HandshakeTimeout: 5 * time.Second, ProxyTimeout: time.Second,
				Nagle: true, KeepAlive: time.Minute, ReadBufferBytes: 4096, WriteBufferBytes: 8192,
			}},
			{URL: "wss://0.0.0.0:8084/mqtt", ListenConfig: transport.ListenConfig{
				TLS: &transport.ServerTLS{
					CertFile: "/etc/iotctl/server.pem", KeyFile: "/etc/iotctl/key.pem", ClientCAFile: "/etc/iotctl/ca.pem",
					ClientAuth: transport.ClientCertRequest, MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
					Ciphers: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, ALPN: []string{"mqtt"},
				},
				WebSocket: transport.WebSocketConfig{Origins: []string{"https://example.com"}, Subprotocols: []string{"mqtt"}, AnySubprotocol: true},
			}},
			{URL: "unix:///run/iotctl.sock", ListenConfig: transport.ListenConfig{UnixMode: 0o600}},
		},
		AllowAnonymous: &no,
		Methods:        map[string]any{"names_file": serve.File("/etc/iotctl/names")},
		Gateways: map[string]any{"mqtt": mqtt.Config{
			MaxPacketBytes: 64 << 10, ReceiveMaximum: 5, MaxInflight: 6, TopicAliasMaximum: -1,
			ConnectTimeout: 3 * time.Second, MaxKeepAlive: 10 * time.Minute, SessionExpiry: 48 * time.Hour,
			PendingBytes: 1 << 20, SendTimeout: 15 * time.Second, ResponseInformation: "-",
		}},
		Broker: broker.Config{
			Queue: session.Limits{MaxQueued: 7, MaxQueuedBytes: 1 << 20}, MaxSessions: 8, MaxSessionsPerOwner: 9,
			MaxSubscriptions: 10, MaxRetained: 11, MaxRetainedBytes: 12, MaxExpiry: time.Hour, Shared: broker.Sticky, SysInterval: -1,
		},
		Store: "mem", StoreSettings: struct{}{},
		Log:              serve.Log{Level: slog.LevelDebug, Format: serve.JSON},
		DrainTimeout:     20 * time.Second,
		CertificateCheck: -1,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(serve.Config{}, "Builtin"), cmpopts.IgnoreUnexported(serve.Config{}, serve.Listener{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Every problem comes with its line and path, and all at once.
func TestFileProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		want []string
	}{
		"empty":   {"", nil},
		"comment": {"# nothing\n", nil},
		"null":    {"mqtt:\nauth:\n", nil},
		"alias":   {"x: 1", []string{"1: x: unknown key"}},
		"unknown keys": {"lisners: []\nmqtt:\n  max_inflght: 1\nbroker:\n  queue: {msgs: 1}\n", []string{
			"1: lisners: unknown key; did you mean listeners?",
			"3: mqtt.max_inflght: unknown key; did you mean max_inflight?",
			"5: broker.queue.msgs: unknown key",
		}},
		"unknown keys of methods": {"auth: {name_file: x, sql: y}", []string{
			"1: auth.name_file: unknown key; did you mean names_file?",
			"1: auth.sql: unknown key",
		}},
		"twice": {"log: {level: info}\nlog: {}\n", []string{"2: log: the key is there twice"}},
		"wrong forms": {"listeners: {}\nbroker: [1]\nlog:\n  level: [a]\nmqtt: 5\n", []string{
			"1: listeners: want a list, not keys and values",
			"2: broker: want keys and values, not a list",
			"4: log.level: want a single value, not a list",
			`5: mqtt: want keys and values, not "5"`,
		}},
		"wrong values": {`
listeners:
  - url: mqtt://127.0.0.1:1
    max_connections: many
    handshake_timeout: 5
    rate_limit: {bytes: fast}
    nagle: maybe
    unix_mode: rw
    read_buffer: 1XB
log: {level: loud, format: xml}
auth: {allow_anonymous: 1}
broker: {shared: random}
`, []string{
			`4: listeners[0].max_connections: "many" is no whole number`,
			`5: listeners[0].handshake_timeout: "5" is no duration; one looks like 10s, 5m or 7d`,
			`6: listeners[0].rate_limit.bytes: parse rate "fast": want an amount and a time, as in 100/10s or 100KB/10s`,
			`7: listeners[0].nagle: "maybe" is neither true nor false`,
			`8: listeners[0].unix_mode: "rw" is no file mode; one looks like 0660`,
			`9: listeners[0].read_buffer: "1XB" is no size; one looks like 65536, 64KiB or 1MiB`,
			`10: log.level: "loud" is none of debug, info, warn, error`,
			`10: log.format: "xml" is neither text nor json`,
			`11: auth.allow_anonymous: "1" is neither true nor false`,
			`12: broker.shared: unknown strategy "random", choose one of round-robin, sticky, hash-publisher, hash-topic`,
		}},
		"tls versions": {"listeners:\n- url: mqtts://127.0.0.1:1\n  tls: {cert: a, key: b, min_version: 1.1, ciphers: [X]}\n", []string{
			`3: listeners[0].tls.min_version: "1.1" is neither 1.2 nor 1.3`,
			`3: listeners[0].tls.ciphers[0]: "X" is no cipher suite known here; one is called TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`,
		}},
		"values that make no sense": {`
listeners:
  - url: mqtt://127.0.0.1:1
    access: [allow all, permit me]
    name: a
  - url: mqtts://127.0.0.1:2
    name: a
  - url: foo://127.0.0.1:3
  - url: mqtt://127.0.0.1:1
    tls: {cert: a, key: b}
  - url: mqtt://127.0.0.1:4
  - url: mqtt://127.0.0.1:4
mqtt: {max_inflight: 70000}
broker: {queue: {messages: -1}}
store: {type: sql}
drain_timeout: -1s
`, []string{
			`4: listeners[0].access[1]: access rule "permit me": want allow or deny, then all, an address or a CIDR`,
			`6: listeners[1].tls: mqtts:// needs a certificate and its key`,
			`7: listeners[1].name: "a" is the name of listeners[0], too`,
			`8: listeners[2].url: parse URL: scheme "foo" is none of mqtt://, mqtts://, ws://, wss://, unix://, emqtcp://, emqtcps://, frame://, frames://, frame+udp://, mqttsn://, mqttsns://`,
			`10: listeners[3].tls: mqtt:// has no TLS`,
			`12: listeners[5]: mqtt://127.0.0.1:4 is listed twice`,
			`13: mqtt.max_inflight: 70000 is not between 1 and 65535`,
			`14: broker.queue.messages: -1 is negative`,
			`15: store.type: "sql" is none of mem`,
			`16: drain_timeout: -1s is negative`,
		}},
		"no similar key": {"foo: 1\nlog: {lvl: info}", []string{"1: foo: unknown key", "2: log.lvl: unknown key"}},
		"both kinds": {"log: {level: loud}\nmqtt: {max_inflight: 70000, foo: 1}\nlisteners: [{ulr: x}]", []string{
			`1: log.level: "loud" is none of debug, info, warn, error`,
			"2: mqtt.foo: unknown key",
			"2: mqtt.max_inflight: 70000 is not between 1 and 65535",
			"3: listeners[0].ulr: unknown key; did you mean url?",
		}},
		"exposed": {"listeners:\n- {url: 'mqtt://:1883'}\n", []string{
			"2: listeners[0]: other machines can reach this listener, and nobody would have to log in",
		}},
		"missing file":  {"auth: {names_file: nope}", []string{"1: auth.names_file: open DIR/nope: no such file or directory"}},
		"no listeners":  {"listeners: []", []string{"1: listeners: there are none"}},
		"no YAML":       {"a: b\n c: [", []string{"2: not YAML: mapping values are not allowed in this context"}},
		"two documents": {"a: b\n---\nc: d\n", []string{"not YAML: more than one document"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := write(t, filepath.Join(dir, "c.yaml"), tt.file)
			c, err := serve.LoadFile(file, builtinWithMethods())
			if err == nil {
				err = c.Check()
			}
			var got []string
			if err != nil {
				var list serve.Problems
				if !errors.As(err, &list) {
					t.Fatalf("%T", err)
				}
				for _, p := range list {
					text, _ := strings.CutPrefix(p.Error(), file+":")
					got = append(got, strings.TrimPrefix(strings.ReplaceAll(text, dir, "DIR"), " "))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestClientCAAloneRequiresCertificates(t *testing.T) {
	c, err := serve.Load([]byte("listeners: [{url: 'mqtts://:1', tls: {cert: a, key: b, client_ca: c}}]"), "x.yaml", builtinWithMethods())
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Listeners[0].TLS.ClientAuth; got != transport.ClientCertRequire {
		t.Errorf("%v, want %v", got, transport.ClientCertRequire)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(everyKey))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("listeners: &l [{url: x, access: *l}]\n\"\": 1\n[a]: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := serve.Load(data, "fuzz.yaml", builtinWithMethods())
		var list serve.Problems
		if err != nil && !errors.As(err, &list) {
			t.Errorf("%T: %v", err, err)
		}
	})
}
