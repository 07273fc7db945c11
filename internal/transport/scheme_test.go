package transport

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		url, address, path, user, password string
	}{
		{"mqtt://broker.example", "broker.example:1883", "", "", ""},
		{"mqtts://broker.example", "broker.example:8883", "", "", ""},
		{"ws://broker.example", "broker.example:8083", "/mqtt", "", ""},
		{"ws://broker.example/", "broker.example:8083", "/", "", ""},
		{"wss://broker.example/a%20b", "broker.example:8084", "/a b", "", ""},
		{"MQTT://broker.example:1", "broker.example:1", "", "", ""},
		{"mqtt://:1883", ":1883", "", "", ""},
		{"mqtt://127.0.0.1:0", "127.0.0.1:0", "", "", ""},
		{"mqtt://[2001:db8::1]", "[2001:db8::1]:1883", "", "", ""},
		{"mqtt://[::1]:18830/topic", "[::1]:18830", "/topic", "", ""},
		{"mqtt://[fe80::1%25eth0]:1", "[fe80::1%eth0]:1", "", "", ""},
		{"mqtt://user:pass@h/t/%23", "h:1883", "/t/#", "user", "pass"},
		{"mqtt://%78:p%40s%2Fs%3Aw%25%2B+@h", "h:1883", "", "x", "p@s/s:w%++"},
		{"mqtt://user:sec#ret@h/a/#", "h:1883", "/a/#", "user", "sec#ret"},
		{"mqtt://user@h", "h:1883", "", "user", ""},
		{"unix:///run/iotctl.sock", "/run/iotctl.sock", "/run/iotctl.sock", "", ""},
		{"unix:///tmp/a%20b", "/tmp/a b", "/tmp/a b", "", ""},
	} {
		e, err := Parse(tc.url, nil)
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		pw, _ := e.User.Password()
		if e.Address() != tc.address || e.Path != tc.path || e.User.Username() != tc.user || pw != tc.password {
			t.Errorf("%s: %s, path %q, user %q, password %q", tc.url, e.Address(), e.Path, e.User.Username(), pw)
		}
		if again, err := Parse(e.String(), nil); err != nil || again.Address() != e.Address() || again.Path != e.Path {
			t.Errorf("%s: its String %s is %s, %q, %v", tc.url, e, again.Address(), again.Path, err)
		}
		if strings.Contains(e.String(), "pass") {
			t.Errorf("password in %s", e)
		}
	}
	e, err := Parse("ws://h/mqtt?a=1%202&b=x%26y", nil)
	if err != nil || e.Query.Get("a") != "1 2" || e.Query.Get("b") != "x&y" || e.String() != "ws://h:8083/mqtt?…" {
		t.Errorf("%v, %v, %s", e.Query, err, e)
	}
}

func TestMQTTSNSchemes(t *testing.T) {
	for url, want := range map[string]string{
		"mqttsn://gateway.example": "gateway.example:1884", "mqttsns://gateway.example": "gateway.example:8883",
		"mqttsn://[::1]:10000": "[::1]:10000", "mqttsns://": ":8883",
	} {
		e, err := Parse(url, MQTTSNSchemes())
		if err != nil || e.Address() != want || e.Scheme.Protocol != "mqttsn" || !e.Scheme.datagrams() {
			t.Errorf("%s: %+v, %v", url, e, err)
		}
	}
	// No name is taken twice, so that tables can be put together.
	seen := map[string]bool{}
	for _, table := range [][]Scheme{MQTTSchemes(), EMQTCPSchemes(), TextSchemes(), MQTTSNSchemes()} {
		for _, s := range table {
			if seen[s.Name] {
				t.Errorf("%s is there twice", s.Name)
			}
			seen[s.Name] = true
		}
	}
}

func TestParseErrorsKeepPasswordsToThemselves(t *testing.T) {
	for _, url := range []string{
		"mqtt://user:sec?ret@h", "mqtt://user:sec/ret@h", "mqtt://user:sec%ret@h", "mqtt://user:secret@h:99999",
		"mqtt://user:secret@h:port", "foo://user:secret@h", "user:secret@h", "user:secret@h://x", "secret@foo://h", "mqtt://user:secret@h/%zz", "mqtt://user:se cret@h",
		"unix://user:secret@host/path", "mqtt://user:secret@h/?a=%zz",
	} {
		_, err := Parse(url, nil)
		if err == nil {
			t.Errorf("%s: accepted", url)
			continue
		}
		for _, part := range []string{"secret", "sec", "ret@"} {
			if strings.Contains(strings.ReplaceAll(err.Error(), "percent-encoded", ""), part) {
				t.Errorf("%s: %q shows %q", url, err, part)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for url, want := range map[string]string{
		"broker.example":            "mqtt://host:port",
		"http://broker.example":     "mqtt://, mqtts://, ws://, wss://, unix://",
		"mqtt://h:70000":            "65535",
		"mqtt://h:-1":               "port",
		"mqtt://::1:1883":           "",
		"unix://relative/path":      "three slashes",
		"unix:///":                  "three slashes",
		"unix:///a%00b":             "NUL",
		"mqtt://h#x":                "",
		"mqtt://h:1/?x=%":           "question mark",
		"mqtt://[::1":               "",
		"ws://h/\x7f":               "",
		"mqtt://user:p@ss@h:x/\x00": "percent-encoded",
	} {
		if _, err := Parse(url, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"mqtt://u:p@h:1/t?q=1", "unix:///a%20b", "wss://[::1]:2/%2f", "ws://h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s, nil)
		if err != nil {
			return
		}
		again, err := Parse(e.String(), nil)
		if err != nil || again.Address() != e.Address() || again.Path != e.Path {
			t.Fatalf("%q: String %q is read as %q, %q, %v", s, e, again.Address(), again.Path, err)
		}
	})
}
