package main

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/serve"
)

// TestExamplesOfProxyStagesAreValid reads each section as it stands in the help.
func TestExamplesOfProxyStagesAreValid(t *testing.T) {
	t.Setenv("BROKER_PASSWORD", "secret")
	var yaml strings.Builder
	for line := range strings.Lines(proxyStagesHelp) {
		if text, ok := strings.CutPrefix(line, "  "); ok {
			yaml.WriteString(text)
		}
	}
	for _, key := range []string{"access:", "limits:", "rewrite:", "translate:"} {
		if !strings.Contains(yaml.String(), "\n"+key) && !strings.HasPrefix(yaml.String(), key) {
			t.Fatalf("no example of %s", key)
		}
	}
	var f proxyFile
	if err := serve.LoadSettings([]byte(yaml.String()), "help", &f, func() error { return nil }); err != nil {
		t.Fatalf("%v\n%s", err, yaml.String())
	}
	made := 0
	for _, part := range proxyParts(&f)[1:] {
		stages, err := part.open(nil)
		if err != nil {
			t.Error(err)
		}
		made += len(stages)
	}
	if made != 4 {
		t.Errorf("%d stages", made)
	}
}
