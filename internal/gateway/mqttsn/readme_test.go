package mqttsn_test

import (
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/mqttsn"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

// otherKeys are those of other gateways.
const otherKeys = `
	mqtt.sn.port mqtt.sn.advertise_duration mqtt.sn.gateway_id mqtt.sn.enable_stats mqtt.sn.enable_qos3
	mqtt.sn.idle_timeout mqtt.sn.predefined.topic.1 mqtt.sn.username mqtt.sn.password mqtt.sn.subs_resume

	gateway.mqttsn.enable gateway.mqttsn.gateway_id gateway.mqttsn.broadcast gateway.mqttsn.enable_qos3
	gateway.mqttsn.subs_resume gateway.mqttsn.predefined gateway.mqttsn.mountpoint
	gateway.mqttsn.idle_timeout gateway.mqttsn.enable_stats gateway.mqttsn.authentication
	gateway.mqttsn.clientinfo_override.username gateway.mqttsn.clientinfo_override.password
	gateway.mqttsn.clientinfo_override.clientid
	UDP.enable UDP.bind UDP.max_connections UDP.max_conn_rate UDP.enable_authn UDP.mountpoint
	UDP.access_rules UDP.health_check UDP.udp_options.active_n UDP.udp_options.recbuf
	UDP.udp_options.sndbuf UDP.udp_options.buffer UDP.udp_options.reuseaddr
	DTLS.bind DTLS.acceptors
	OPTIONS.cacertfile OPTIONS.cacerts OPTIONS.certfile OPTIONS.keyfile OPTIONS.password OPTIONS.verify
	OPTIONS.fail_if_no_peer_cert OPTIONS.depth OPTIONS.reuse_sessions OPTIONS.versions OPTIONS.ciphers
	OPTIONS.secure_renegotiate OPTIONS.client_renegotiation OPTIONS.honor_cipher_order OPTIONS.dhfile
	OPTIONS.handshake_timeout OPTIONS.hibernate_after OPTIONS.log_level OPTIONS.partial_chain
	OPTIONS.verify_peer_ext_key_usage OPTIONS.user_lookup_fun OPTIONS.session_tickets OPTIONS.managed_certs

	GatewayID GatewayName MaxNumberOfClients KeepAlive LoginID Password BrokerName BrokerPortNo
	BrokerSecurePortNo RootCAfile RootCApath CertKey PrivateKey AggregatingGateway QoS-1 Forwarder
	PredefinedTopic PredefinedTopicList ClientAuthentication ClientsList GatewayPortNo MulticastPortNo
	MulticastIP MulticastTTL DtlsCertsKey DtlsPrivKey SharedMemory

	--mqtt-host --mqtt-port --mqtt-user --mqtt-password --mqtt-password-file --mqtt-timeout --host --port
	--dtls --psk --psk-cache-expiration --psk-identity --psk-api-timeout --psk-api-basic-auth-username
	--psk-api-basic-auth-password --psk-api-endpoint --self-signed --cert --key --predefined-topic
	--predefined-topics-file --auth --insecure --syslog --debug --user --group --performance-log-time
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
	table := servetest.Builtin()
	for _, key := range []string{"password_file", "acl_file"} {
		table.Methods = append(table.Methods, serve.NewMethod(key, "", serve.Everywhere,
			func(*slog.Logger, serve.File) (serve.Checks, error) { return serve.Checks{}, nil }))
	}
	_, err := serve.Load([]byte(text), "c.yaml", table)
	return err
}

// withKey is a configuration that has the key, with no value.
func withKey(key string) string {
	if key == "listeners[].url" {
		return `listeners: [{url: "mqttsn://127.0.0.1:0"}]`
	}
	path, listener := strings.CutPrefix(key, "listeners[].")
	text := strings.Repeat("}", strings.Count(path, ".")+1)
	text = "{" + strings.ReplaceAll(path, ".", ": {") + ": ~" + text
	if listener {
		return `listeners: [{url: "mqttsns://127.0.0.1:0", ` + strings.TrimPrefix(text, "{") + "]"
	}
	return text
}

// Each key of another gateway has its line, and the key that it leads to is one.
func TestEveryKeyOfOthersHasItsLine(t *testing.T) {
	_, text, _ := strings.Cut(readme(t), "## From other gateways\n")
	lines := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\S+) \\|.*\\|$").FindAllStringSubmatch(text, -1) {
		if _, twice := lines[m[1]]; twice {
			t.Errorf("%s is there twice", m[1])
		}
		lines[m[1]] = strings.Trim(m[2], "`")
	}
	expand := strings.NewReplacer(
		"OPTIONS.", "gateway.mqttsn.listeners.dtls.default.dtls_options.",
		"UDP.", "gateway.mqttsn.listeners.udp.default.",
		"DTLS.", "gateway.mqttsn.listeners.dtls.default.",
	)
	for key := range strings.FieldsSeq(expand.Replace(otherKeys)) {
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
		t.Errorf("%s is no key of others", key)
	}
	for _, key := range []string{"mqttsn.no_such", "mqttsn.sleep.no_such", "listeners[].no_such", "listeners[].tls.no_such"} {
		if err := load(withKey(key)); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// settings are the keys of a struct, and of those in it.
func settings(at string, s reflect.Type) (keys []string) {
	for i := range s.NumField() {
		f := s.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			key = strings.ToLower(regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(f.Name, "${1}_$2"))
		}
		switch f.Type.Kind() {
		case reflect.Interface:
			continue
		case reflect.Pointer:
			if f.Type.Elem().Kind() == reflect.Struct {
				continue
			}
		case reflect.Struct:
			if f.Type != reflect.TypeFor[mqttsn.PredefinedFile]() {
				keys = append(keys, settings(at+"."+key, f.Type)...)
				continue
			}
		}
		keys = append(keys, at+"."+key)
	}
	return keys
}

func TestEverySettingIsInTheReadme(t *testing.T) {
	_, text, _ := strings.Cut(readme(t), "## Settings\n")
	text, _, _ = strings.Cut(text, "\n## ")
	lines := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		lines[m[1]] = true
	}
	for _, key := range settings("mqttsn", reflect.TypeFor[mqttsn.Config]()) {
		if !lines[key] {
			t.Errorf("%s is missing", key)
		}
		delete(lines, key)
		if err := load(withKey(key)); err != nil {
			t.Error(err)
		}
	}
	for key := range lines {
		t.Errorf("%s is no setting", key)
	}
}

func TestEveryCounterIsInTheReadme(t *testing.T) {
	_, text, _ := strings.Cut(readme(t), "## Counters\n")
	text, _, _ = strings.Cut(text, "\n## ")
	b, err := broker.New(t.Context(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := mqttsn.New(mqttsn.Config{}, b)
	if err != nil {
		t.Fatal(err)
	}
	for name := range g.Counters() {
		if !strings.HasPrefix(name, "received/") && !strings.HasPrefix(name, "sent/") && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is missing", name)
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
