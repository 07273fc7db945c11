package serve

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// This file is the schema of the configuration file. Beside the keys of
// fileConfig it has one section per gateway, named like its protocol, "auth"
// with a key per method, and "store" with the settings of the chosen store.

type fileConfig struct {
	Listeners        []fileListener
	Broker           fileBroker
	SysInterval      *time.Duration // 0: no $SYS
	Log              fileLog
	DrainTimeout     time.Duration
	CertificateCheck *time.Duration // 0: never
}

type fileLog struct {
	Level  Level
	Format Format
}

type fileListener struct {
	URL              string `yaml:"url"`
	Name             string
	Acceptors        int
	MaxConnections   int
	MaxConnRate      int
	MaxPerSource     int
	MaxHandshakes    int
	Access           []string
	Proxies          []string
	RateLimit        struct{ Messages, Bytes transport.Rate }
	HandshakeTimeout time.Duration
	ProxyTimeout     time.Duration
	Nagle            bool
	TCPKeepAlive     time.Duration
	ReadBuffer       size
	WriteBuffer      size
	UnixMode         octal
	Queue            struct { // of datagrams
		Datagrams       int
		Bytes, AllBytes size
	}
	TLS       *fileTLS `yaml:"tls"`
	WebSocket struct {
		Origins        []string
		Subprotocols   []string
		AnySubprotocol bool
	} `yaml:"websocket"`
}

type fileTLS struct {
	Cert       File
	Key        File
	ClientCA   File
	ClientAuth *transport.ClientAuth // with client_ca: require, otherwise none
	MinVersion tlsVersion
	MaxVersion tlsVersion
	Ciphers    []cipher // of TLS 1.2
	ALPN       []string
	PSKFile    File // of DTLS, as PSKHint
	PSKHint    string
	CIDLength  int // of DTLS; 0: the default
}

type fileBroker struct {
	Queue struct {
		Messages int
		Bytes    size
	}
	MaxSessions         int
	MaxSessionsPerOwner int
	MaxSubscriptions    int
	MaxRetained         int
	MaxRetainedBytes    size
	MaxSessionExpiry    time.Duration
	Shared              broker.Strategy
}

// LoadFile reads a configuration file. An error is Problems unless the file
// could not be opened.
func LoadFile(name string, b Builtin) (Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Config{}, err
	}
	return Load(data, name, b)
}

// Load reads a configuration, in YAML. name is the file's, for problems and
// for the directory that files in the configuration are relative to. What
// has the right form is left to Check, unless there are problems already.
func Load(data []byte, name string, b Builtin) (Config, error) {
	d := &decoder{dir: filepath.Dir(name)}
	d.source = source{file: name, lines: map[string]int{}}
	c := Config{Builtin: b, source: d.source}
	doc, err := parse(data)
	if err != nil {
		d.addYAML(err)
		return c, d.err()
	}
	f := fileConfig{}
	ks := d.fields(reflect.ValueOf(&f).Elem())
	ks["auth"] = func(n *yaml.Node, path string) { d.auth(n, path, &c) }
	ks["store"] = func(n *yaml.Node, path string) { d.store(n, path, &c) }
	c.Gateways = map[string]any{}
	for _, g := range b.Gateways {
		ks[g.Protocol] = func(n *yaml.Node, path string) { c.Gateways[g.Protocol] = d.section(n, path, g.settings) }
	}
	d.mapping(doc, "", ks)
	f.into(&c)
	if d.all != nil {
		d.addOthers(c.Check())
	}
	return c, d.err()
}

// parse returns the one document in data; an empty file has an empty one.
func parse(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return &yaml.Node{}, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("yaml: more than one document")
	}
	return doc.Content[0], nil
}

// addYAML takes the line out of a message like "yaml: line 3: did not find …".
func (d *decoder) addYAML(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	n := &yaml.Node{}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, after, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			n.Line, text = line, after
		}
	}
	d.wrong(n, "", "not YAML: %s", text)
}

func (d *decoder) section(n *yaml.Node, path string, s settings) any {
	p := s.fresh()
	d.value(n, path, reflect.ValueOf(p).Elem())
	return s.value(p)
}

func (d *decoder) auth(n *yaml.Node, path string, c *Config) {
	ks := keys{"allow_anonymous": func(n *yaml.Node, path string) {
		d.value(n, path, reflect.ValueOf(&c.AllowAnonymous).Elem())
	}}
	c.Methods = map[string]any{}
	for _, m := range c.Builtin.Methods {
		ks[m.Key] = func(n *yaml.Node, path string) { c.Methods[m.Key] = d.section(n, path, m.settings) }
	}
	d.mapping(n, path, ks)
}

func (d *decoder) store(n *yaml.Node, path string, c *Config) {
	n = resolve(n)
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "type" {
				c.Store = n.Content[i+1].Value
			}
		}
	}
	ks := keys{}
	for _, s := range c.Builtin.Stores {
		if s.Name == c.Store || c.Store == "" {
			p := s.settings.fresh()
			ks = d.fields(reflect.ValueOf(p).Elem())
			defer func() { c.StoreSettings = s.settings.value(p) }()
			break
		}
	}
	ks["type"] = func(*yaml.Node, string) {}
	d.mapping(n, path, ks)
}

// into moves what has been read to c.
func (f *fileConfig) into(c *Config) {
	if f.Listeners != nil {
		c.Listeners = []Listener{}
	}
	for i, l := range f.Listeners {
		c.Listeners = append(c.Listeners, l.listener(fmt.Sprintf("listeners[%d]", i)))
	}
	b := &f.Broker
	c.Broker.Queue.MaxQueued, c.Broker.Queue.MaxQueuedBytes = b.Queue.Messages, int(b.Queue.Bytes)
	c.Broker.MaxSessions, c.Broker.MaxSessionsPerOwner = b.MaxSessions, b.MaxSessionsPerOwner
	c.Broker.MaxSubscriptions = b.MaxSubscriptions
	c.Broker.MaxRetained, c.Broker.MaxRetainedBytes = b.MaxRetained, int(b.MaxRetainedBytes)
	c.Broker.MaxExpiry, c.Broker.Shared = b.MaxSessionExpiry, b.Shared
	c.Broker.SysInterval = never(f.SysInterval)
	c.Log = Log{Level: slog.Level(f.Log.Level), Format: f.Log.Format}
	c.DrainTimeout, c.CertificateCheck = f.DrainTimeout, never(f.CertificateCheck)
}

// never turns the file's 0, which means never, into what means so in Go, where
// 0 is the default.
func never(d *time.Duration) time.Duration {
	switch {
	case d == nil:
		return 0
	case *d == 0:
		return -1
	}
	return *d
}

func (f *fileListener) listener(path string) Listener {
	l := Listener{URL: f.URL, path: path, ListenConfig: transport.ListenConfig{
		Name: f.Name, Acceptors: f.Acceptors,
		MaxConnections: f.MaxConnections, MaxConnRate: f.MaxConnRate,
		MaxPerSource: f.MaxPerSource, MaxHandshakes: f.MaxHandshakes,
		Access: f.Access, Proxies: f.Proxies,
		MessageRate: f.RateLimit.Messages, ByteRate: f.RateLimit.Bytes,
		HandshakeTimeout: f.HandshakeTimeout, ProxyTimeout: f.ProxyTimeout,
		Nagle: f.Nagle, KeepAlive: f.TCPKeepAlive,
		ReadBufferBytes: int(f.ReadBuffer), WriteBufferBytes: int(f.WriteBuffer),
		UnixMode:       fs.FileMode(f.UnixMode),
		QueueDatagrams: f.Queue.Datagrams, QueueBytes: int(f.Queue.Bytes), AllQueuesBytes: int(f.Queue.AllBytes),
		WebSocket: transport.WebSocketConfig{
			Origins: f.WebSocket.Origins, Subprotocols: f.WebSocket.Subprotocols,
			AnySubprotocol: f.WebSocket.AnySubprotocol,
		},
	}}
	if f.TLS != nil {
		l.TLS = f.TLS.server()
	}
	return l
}

func (f *fileTLS) server() *transport.ServerTLS {
	t := &transport.ServerTLS{
		CertFile: string(f.Cert), KeyFile: string(f.Key), ClientCAFile: string(f.ClientCA),
		MinVersion: uint16(f.MinVersion), MaxVersion: uint16(f.MaxVersion), ALPN: f.ALPN,
		PSKFile: string(f.PSKFile), PSKHint: f.PSKHint, CIDBytes: f.CIDLength,
	}
	switch {
	case f.ClientAuth != nil:
		t.ClientAuth = *f.ClientAuth
	case f.ClientCA != "":
		t.ClientAuth = transport.ClientCertRequire
	}
	for _, c := range f.Ciphers {
		t.Ciphers = append(t.Ciphers, uint16(c))
	}
	return t
}

// octal is a file mode, as in 0660.
type octal fs.FileMode

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *octal) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(b), "0o"), 8, 32)
	if err != nil {
		return fmt.Errorf("%q is no file mode; one looks like 0660", b)
	}
	*o = octal(n)
	return nil
}

type tlsVersion uint16

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *tlsVersion) UnmarshalText(b []byte) error {
	switch string(b) {
	case "1.2":
		*v = tls.VersionTLS12
	case "1.3":
		*v = tls.VersionTLS13
	default:
		return fmt.Errorf("%q is neither 1.2 nor 1.3", b)
	}
	return nil
}

type cipher uint16

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *cipher) UnmarshalText(b []byte) error {
	for _, s := range tls.CipherSuites() {
		if s.Name == string(b) {
			*c = cipher(s.ID)
			return nil
		}
	}
	return fmt.Errorf("%q is no cipher suite known here; one is called %s", b, tls.CipherSuiteName(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))
}
