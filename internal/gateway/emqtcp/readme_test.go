package emqtcp_test

import (
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// oldKeys are those of emqx_tcp.conf and of its dashboard.
const oldKeys = `
	tcp.proto.idle_timeout tcp.proto.up_topic tcp.proto.dn_topic tcp.proto.max_packet_size
	tcp.proto.enable_stats tcp.proto.force_gc_policy tcp.proto.force_shutdown_policy
	tcp.listener.external tcp.listener.external.acceptors tcp.listener.external.max_connections
	tcp.listener.external.max_conn_rate tcp.listener.external.active_n tcp.listener.external.access.1
	tcp.listener.external.proxy_protocol tcp.listener.external.proxy_protocol_timeout
	tcp.listener.external.backlog tcp.listener.external.send_timeout
	tcp.listener.external.send_timeout_close tcp.listener.external.nodelay tcp.listener.external.reuseaddr
	tcp.listener.external.recbuf tcp.listener.external.sndbuf tcp.listener.external.buffer
	tcp.listener.external.rate_limit tcp.listener.ssl.external
	tcp.listener.ssl.external.handshake_timeout tcp.listener.ssl.external.keyfile
	tcp.listener.ssl.external.certfile tcp.listener.ssl.external.cacertfile
	tcp.listener.ssl.external.verify tcp.listener.ssl.external.fail_if_no_peer_cert
	tcp.listener.ssl.external.ciphers
`

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// load reads the text of a configuration file.
func load(text string) error {
	table := servetest.Builtin() // MQTT is the first
	table.Gateways = append(table.Gateways[:1], serve.NewGateway(emqtcp.Protocol, transport.EMQTCPSchemes(),
		func(serve.Environment, emqtcp.Config) (gateway.Gateway, error) { return nil, nil }))
	for _, key := range []string{"password_file", "acl_file"} {
		table.Methods = append(table.Methods, serve.NewMethod(key, "", serve.Everywhere,
			func(*slog.Logger, serve.File) (serve.Checks, error) { return serve.Checks{}, nil }))
	}
	_, err := serve.Load([]byte(text), "c.yaml", table)
	return err
}

// Each key of the plug-in has its line, and the key that it leads to is one.
func TestEveryOldKeyHasItsLine(t *testing.T) {
	lines := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(tcp\\.[^`]+)` \\| (\\S+) \\| .*\\|$").FindAllStringSubmatch(readme(t), -1) {
		lines[m[1]] = strings.Trim(m[2], "`")
	}
	for key := range strings.FieldsSeq(oldKeys) {
		to, ok := lines[key]
		if !ok {
			t.Errorf("no line for %s", key)
			continue
		}
		delete(lines, key)
		if to == "–" {
			continue
		}
		if err := load(withKey(to)); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	for key := range lines {
		t.Errorf("%s is no old key", key)
	}
	for _, key := range []string{"emqtcp.no_such", "listeners[].no_such", "listeners[].tls.no_such"} {
		if err := load(withKey(key)); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// withKey is a configuration that has the key, with no value.
func withKey(key string) string {
	if key == "listeners[].url" {
		return `listeners: [{url: "emqtcp://127.0.0.1:0"}]`
	}
	path, listener := strings.CutPrefix(key, "listeners[].")
	text := ""
	for _, k := range strings.Split(path, ".") {
		text += "{" + k + ": "
	}
	text += "~" + strings.Repeat("}", strings.Count(path, ".")+1)
	if listener {
		return `listeners: [{url: "emqtcp://127.0.0.1:0", ` + strings.TrimPrefix(text, "{") + "]"
	}
	return text
}

func TestEverySettingIsInTheReadme(t *testing.T) {
	text := readme(t)
	c := reflect.TypeFor[emqtcp.Config]()
	for i := range c.NumField() {
		f := c.Field(i)
		if k := f.Type.Kind(); k == reflect.Interface || k == reflect.Pointer {
			continue
		}
		key := f.Tag.Get("yaml")
		if key == "" {
			key = strings.ToLower(regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(f.Name, "${1}_$2"))
		}
		if !strings.Contains(text, "`emqtcp."+key+"`") {
			t.Errorf("emqtcp.%s is missing", key)
		}
		if err := load(withKey("emqtcp." + key)); err != nil {
			t.Error(err)
		}
	}
}

func TestExampleOfTheReadme(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	if err := load(example); err != nil {
		t.Error(err)
	}
}
