package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// The documented configuration is one that proxy accepts.
func TestProxyConfigIsValid(t *testing.T) {
	dir := t.TempDir()
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost"))
	own, ownKey := transporttest.WritePair(t, t.TempDir(), ca.Client(t, nil, "proxy"))
	file := filepath.Join(dir, "proxy.yaml")
	if err := errors.Join(
		os.Rename(cert, filepath.Join(dir, "server.pem")),
		os.Rename(key, filepath.Join(dir, "server.key")),
		os.Rename(own, filepath.Join(dir, "proxy.pem")),
		os.Rename(ownKey, filepath.Join(dir, "proxy.key")),
		os.Rename(ca.WriteFile(t), filepath.Join(dir, "clients.pem")),
		os.Rename(ca.WriteFile(t), filepath.Join(dir, "brokers.pem")),
		os.WriteFile(file, []byte(proxyConfig), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	o := proxyOptions{config: file, set: func(string) bool { return false }}
	c, err := o.load()
	if err == nil {
		err = errors.Join(c.Validate(), c.Check())
	}
	if err != nil {
		t.Error(err)
	}
	if len(c.Listeners) != 3 || len(c.Upstreams) != 2 {
		t.Errorf("%d listeners and %d brokers", len(c.Listeners), len(c.Upstreams))
	}
}

// Every key of the schema is documented.
func TestProxyConfigHasEveryKey(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(proxyConfig), &doc); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				have[strings.ReplaceAll(c.Value, "_", "")] = true
			}
			walk(c)
		}
	}
	walk(&doc)
	var fields func(typ reflect.Type)
	fields = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[serve.ListenerSettings]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name := strings.ToLower(f.Name)
			if !f.IsExported() || name == "userproperties" || name == "map" { // their elements are in a comment
				continue
			}
			if !have[name] && !have[strings.ReplaceAll(f.Tag.Get("yaml"), "_", "")] {
				t.Errorf("%s is not in the documented file", f.Name)
			}
			if f.Type.PkgPath() != "github.com/iotctl/iotctl/internal/transport" { // a rate is one value
				fields(f.Type)
			}
		}
	}
	fields(reflect.TypeFor[proxyFile]())
}

// A mistake in the file has its line, and all mistakes are told at once.
func TestProxyConfigTellsTheLineOfEachMistake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := "listen: [{url: 'mqtt://127.0.0.1:0'}]\nto: [{url: 'mqtt://127.0.0.1:1883'}]\nfarewel: true\n"
	for _, tc := range []struct{ text, want string }{
		{text, "p.yaml:3: farewel: unknown key; did you mean farewell?"},
		{"listen: [{url: 'mqtt://127.0.0.1:0'}]\nto:\n  - url: mqtt://127.0.0.1:1883\n    local_address: [here]\n", `p.yaml:4: to[0].local_address[0]: "here" is no IP address`},
		{"listen: [{url: 'mqtt://127.0.0.1:0'}]\nto: [{url: 'mqtt://127.0.0.1:1883'}]\nhealth: {mode: guess}\n", "p.yaml:3: health.mode: "},
		{"listen: [{url: 'mqtt://127.0.0.1:0'}]\nto: [{url: 'mqtt://127.0.0.1:1883'}]\nsend_proxy: 3\ndial_timeout: -1s\n", "p.yaml:4: dial_timeout: -1s is negative"},
		{"to: [{url: 'mqtt://127.0.0.1:1883'}]\ntranslate:\n  to: '7'\n", "p.yaml:3: translate.to: "},
	} {
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := proxyOptions{config: file, set: func(string) bool { return false }}
		_, err := o.load()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %s", err, tc.want)
		}
	}
}
