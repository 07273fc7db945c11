package profile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/profile"
)

// became is what a file is taken for: per profile its settings, as command/option=value.
func became(t *testing.T, text string) map[string][]string {
	t.Helper()
	_, all, err := profile.Import("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, one := range all {
		list := []string{}
		for _, s := range one.Profile.Settings {
			word := s.Option
			if s.Command != "" {
				word = s.Command + "/" + word
			}
			if s.Value != "" {
				word += "=" + s.Value
			}
			list = append(list, word)
		}
		got[one.Profile.Name] = list
		for _, n := range one.Notes {
			if n.Key == "" || len(n.To) == 0 && n.Why == "" {
				t.Errorf("nothing is said about %+v", n)
			}
		}
	}
	return got
}

func TestImport(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       map[string][]string
	}{
		{
			"HiveMQ's values with escapes", "auth.username = a\\ b\nmqtt.host:h\\u00e9\nauth.password=x\\\\\nauth.password.env=SECRET\nmqtt.version=3\n! comment\n# mqtt.port=1\n",
			map[string][]string{"x": {"username=a b", "host=hé", `pw=x\`, "password-command=printenv SECRET", "protocol-version=311"}},
		},
		{
			"options of MQTTX for one command keep the name", `{"conn": {"hostname": "h", "protocol": "mqtts", "ca": "c", "insecure": true}}`,
			map[string][]string{"x": {"protocol-version=5", "host=h", "tls", "cafile=c", "insecure"}},
		},
		{
			"a certificate that MQTTX does not use", `{"sub": {"mqttVersion": 4, "hostname": "h", "protocol": "mqtt", "ca": "c", "topic": ["a"], "receiveMaximum": 3}}`,
			map[string][]string{"x": {"protocol-version=311", "host=h", "sub/topic=a"}},
		},
		{
			"MQTTX's messages", `{"pub": {"mqttVersion": 5, "topic": "a", "message": "Hello From MQTTX CLI", "stdin": true, "multiline": true, "payloadFormatIndicator": true, "avscPath": "r.avsc", "clientId": "mqttx_0123abcd", "clean": false}}`,
			map[string][]string{"x": {"protocol-version=5", "pub/topic=a", "pub/stdin-line", "pub/property=publish payload-format-indicator 1", "pub/payload=avro:r.avsc"}},
		},
		{"loads", `{"benchConn": {"count": 3}, "simulate": {"count": 3}}`, map[string][]string{"x": {}}},
		{
			"MQTTX's export as YAML", "- clientId: c\n  name: a/b\n  host: h\n  port: 1884\n  protocol: ws\n  path: /mqtt\n  mqttVersion: 3.1.1\n  clientIdWithTime: true\n  reconnect: true\n  will:\n    lastWillTopic: ''\n- clientId: c\n  name: a b\n  host: h\n",
			map[string][]string{"a-b": {"id-prefix=c", "host=h", "port=1884", "ws", "ws-path=/mqtt", "protocol-version=311", "reconnect=always"}, "a-b-2": {"id=c", "host=h"}},
		},
		{
			"JSON with what YAML does not know", `[{"clientId": "\ud83d\ude00", "name": "\/", "host": "h"}]`,
			map[string][]string{"imported": {"id=😀", "host=h"}},
		},
		{"MQTTX's own file", "[default]\noutput = text\n[mqtt]\nhost = h\nmax_reconnect_times = 3\n", map[string][]string{"x": {"protocol-version=5", "host=h", "reconnect=3"}}},
		{
			"bridges", "connection a\naddress h\nbridge_insecure true\nbridge_max_packet_size 100\nconnection a\naddress [::1]:1\nbridge_protocol_version mqttv9\n",
			map[string][]string{"a": {"host=h", "insecure", "property=connect maximum-packet-size 100"}, "a-2": {"host=::1", "port=1"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, became(t, c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestImportOfSomethingElse(t *testing.T) {
	for _, text := range []string{"", "x", "{}", "[]", "[{}]", `{"a": 1}`, "[1, 2]", "host: a\n", strings.Repeat("[", 100000), "\x00\xff"} {
		if _, _, err := profile.Import("x", []byte(text)); !errors.Is(err, profile.ErrUnrecognised) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func FuzzImport(f *testing.F) {
	for _, text := range []string{
		"mqtt.host=h\nauth.password=\\u0041\\", `{"pub": {"topic": "a", "userProperties": {"a": ["1"]}}, "sub": {"qos": [0]}}`,
		`[{"clientId": "a", "host": "b", "will": {"lastWillTopic": "w", "properties": {"x": 1}}, "subscriptions": [{"topic": "a"}], "properties": {"userProperties": {"a": "b"}}}]`,
		"connection\ta\naddress [::1]:1 b\naddress", `[{"clientId": "", "host": "", "will": {"lastWillTopic": "0", "properties": {"": 0}}}]`, "[mqtt]\nhost=a\n=b\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, all, err := profile.Import("x", text)
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, one := range all {
			if err := profile.CheckName(one.Profile.Name); err != nil || names[one.Profile.Name] {
				t.Errorf("%q, %v", one.Profile.Name, err)
			}
			names[one.Profile.Name] = true
		}
	})
}
