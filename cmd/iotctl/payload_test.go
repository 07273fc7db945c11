//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
)

// What stands behind a dollar sign in the help of payloads prints what stands
// below it.
func TestHelpOfPayloadsShowsWhatIsPrinted(t *testing.T) {
	bin := buildForReadme(t)
	var command string
	var shown []string
	ran := 0
	check := func() {
		if command == "" {
			return
		}
		cmd := exec.Command("bash", "-c", command)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if diff := cmp.Diff(strings.Join(shown, "\n")+"\n", string(out)); diff != "" {
			t.Errorf("%s (-help +printed)\n%s", command, diff)
		}
		command, shown = "", nil
		ran++
	}
	for line := range strings.Lines(newPayloads().Long) {
		line = strings.TrimRight(line, "\n")
		if c, ok := strings.CutPrefix(line, "  $ "); ok {
			check()
			command = c
			continue
		}
		if line == "" {
			check()
		}
		if command != "" {
			shown = append(shown, strings.TrimPrefix(line, "  "))
		}
	}
	if ran < 5 {
		t.Errorf("only %d commands", ran)
	}
}

// The examples of the commands succeed, where there is a file reading.bin.
func TestExamplesOfPayloadCommandsRun(t *testing.T) {
	bin, dir := buildForReadme(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "reading.bin"), []byte{0xa1, 0x61, 'a', 1}, 0o600); err != nil {
		t.Fatal(err)
	}
	top := newPayload()
	for _, c := range append(top.Commands(), top) {
		for line := range strings.Lines(c.Example) {
			cmd := exec.Command("bash", "-c", line)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
				t.Errorf("%s: %v\n%s", strings.TrimSpace(line), err, out)
			}
		}
	}
}

// Examples of the table are rules, but that their files are not there.
func TestExamplesOfPayloadFormatsAreRules(t *testing.T) {
	names := map[string]bool{}
	for _, f := range payloads() {
		if names[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		names[f.Name] = true
		rule, err := payload.ParseRule(f.Example)
		if err == nil {
			_, err = newPayloadRules([]payload.Rule{rule})
		}
		if err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v", f.Example, err)
		}
	}
}

// auto tells apart what the formats themselves write.
func TestAutoKnowsWhatTheFormatsWrite(t *testing.T) {
	const typed = `{"temp": 21.5, "list": [1, 2]}`
	for pipeline, want := range map[string]string{
		"json": "json", "cbor": "cbor", "msgpack": "msgpack", "gzip|json": "gzip|json", "zstd|cbor": "zstd|cbor",
		"deflate|msgpack": "deflate|msgpack", "gzip|zstd|json": "gzip|zstd|json",
	} {
		p, err := payload.NewPipeline(payloads(), pipeline)
		if err != nil {
			t.Fatal(err)
		}
		c := payload.Content{Text: []byte(typed)}
		if err := p.Encode(&c); err != nil {
			t.Fatal(err)
		}
		rules, err := newPayloadRules([]payload.Rule{{Pipeline: "auto"}})
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := rules.Decode("a", "", c.Bytes)
		if err != nil || !ok || got.Label != want+payload.Guess {
			t.Errorf("%s: %q, %v", pipeline, got.Label, err)
		}
		if got := string(payload.AppendJSON(nil, got.Value)); got != `{"temp":21.5,"list":[1,2]}` {
			t.Errorf("%s: %s", pipeline, got)
		}
	}
}

func FuzzAuto(f *testing.F) {
	for _, s := range []string{"{}", "21.5", "\x82\xa1a\x01\xa1b\x02", "\xa1aa\x01", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "text"} {
		f.Add("a", "", []byte(s))
		f.Add("spBv1.0/g/NDATA/n", "application/cbor", []byte(s))
	}
	rules, err := newPayloadRules([]payload.Rule{{Pipeline: "auto"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, topic, contentType string, b []byte) {
		c, ok, err := rules.Decode(topic, contentType, b)
		if err != nil || ok == (len(b) == 0) {
			t.Fatalf("%q: %v, %v", b, ok, err)
		}
		if ok && !strings.HasSuffix(c.Label, payload.Guess) {
			t.Fatalf("label %q", c.Label)
		}
		if _, err := payload.ParseJSON(payload.AppendJSON(nil, c.Value)); err != nil {
			t.Fatal(err)
		}
	})
}
