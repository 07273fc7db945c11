package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// script is a setting that is what is in a file.
type script struct {
	name    string
	content string
}

func (s *script) ReadFile(name string, content []byte) error {
	if bytes.Contains(content, []byte("wrong")) {
		return errors.New("it says wrong")
	}
	s.name, s.content = filepath.Base(name), string(content)
	return nil
}

// player is a gateway's settings with such files.
type player struct{ Scripts []script }

func (p player) CheckListener(e transport.Endpoint) error {
	if !slices.ContainsFunc(p.Scripts, func(s script) bool { return "/"+s.name == e.Path }) {
		return errors.New("no such script")
	}
	return nil
}

func TestSettingsAreReadFromFilesAndJudgeListeners(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"good": "one", "bad": "wrong"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := servetest.Builtin()
	b.Gateways = append(slices.Clip(b.Gateways), serve.NewGateway("play",
		[]transport.Scheme{{Name: "play", Protocol: "play", Network: "tcp", Port: 7}},
		func(serve.Environment, player) (gateway.Gateway, error) { return nil, errors.New("not in this test") }))
	for _, c := range []struct{ yaml, want string }{
		{"listeners: [{url: play://127.0.0.1/good}]\nplay: {scripts: [good]}", ""},
		{"listeners: [{url: play://127.0.0.1/bad}]\nplay: {scripts: [good]}", "1: listeners[0].url: no such script"},
		{"listeners: [{url: play://127.0.0.1/good}]\nplay:\n  scripts:\n    - good\n    - bad", "5: play.scripts[1]: it says wrong"},
		{"listeners: [{url: play://127.0.0.1/good}]\nplay: {scripts: [good, none]}", "2: play.scripts[1]: open " + filepath.Join(dir, "none")},
	} {
		cfg, err := serve.Load([]byte(c.yaml), filepath.Join(dir, "c.yaml"), b)
		if err == nil {
			err = cfg.Check()
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.yaml, err)
		case c.want == "":
			if p := cfg.Gateways["play"].(player); p.Scripts[0] != (script{"good", "one"}) {
				t.Errorf("read %v", p)
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", c.yaml, err, c.want)
		}
	}
}

func TestFilesWithSeveralMistakesAreTold(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keys"), []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := serve.Load([]byte("listeners:\n  - {url: mqttsns://127.0.0.1:0, tls: {psk_file: keys}}\n"), filepath.Join(dir, "c.yaml"), servetest.Builtin())
	if err == nil {
		err = cfg.Check()
	}
	if err == nil {
		t.Fatal("no error")
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if !strings.Contains(line, "c.yaml:2: listeners[0].tls: psk_file: ") || !strings.HasSuffix(line, fmt.Sprintf("keys\": line %d: no colon after the identity", i+1)) {
			t.Error(line)
		}
	}
}
