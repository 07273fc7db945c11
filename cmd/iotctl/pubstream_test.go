//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestRecordsAndGeneratedMessagesSurviveBrokenConnections(t *testing.T) {
	const n = 300
	var input strings.Builder
	for i := range n {
		fmt.Fprintf(&input, `{"topic":"a","qos":%d,"payload":"line %d"}`+"\n", 1+i%2, i)
	}
	for name, args := range map[string][]string{
		"jsonl":    {"--jsonl"},
		"generate": {"-t", "a", "--generate", "line {{n 0}}", "--repeat", fmt.Sprint(n), "-q", "1"},
		"rate":     {"-t", "a", "--generate", "line {{n 0}}", "--repeat", fmt.Sprint(n), "-q", "1", "--rate", "1k/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newForgetful(t, mqtt.V311, 2, 50)
			p := own(t, strings.NewReader(input.String()), append([]string{"pub", "-p", server.port, "-h", "127.0.0.1", "--stats"}, args...)...)
			out := p.wait(t)
			if want := fmt.Sprintf("iotctl: %d of %d messages acknowledged\n", n, n); out.Code != 0 || !strings.Contains(out.Stderr, want) {
				t.Errorf("%+v", out)
			}
			server.mu.Lock()
			defer server.mu.Unlock()
			for i := range n {
				if server.seen[fmt.Sprintf("line %d", i)] == 0 {
					t.Errorf("line %d is lost", i)
				}
			}
		})
	}
}

// A broker that is killed and started again: what was read meanwhile arrives, too.
func TestRecordsSurviveABrokerThatIsKilled(t *testing.T) {
	t.Parallel()
	port, data := freePort(t), t.TempDir()
	serve := func() *process {
		p := own(t, nil, "serve", "--listen", "mqtt://127.0.0.1:"+port, "--data", data)
		p.err.until(t, "mqtt://127.0.0.1:"+port)
		return p
	}
	broker := serve()
	at := []string{"-p", port, "-h", "127.0.0.1", "-q", "1"}
	session := append([]string{"sub", "-c", "-i", "s", "-t", "#", "-v"}, at...)
	if out := own(t, nil, append(session, "-E")...).wait(t); out.Code != 0 {
		t.Fatalf("%+v", out)
	}
	in, feed := pipe(t)
	p := own(t, in, append([]string{"pub", "--jsonl", "--stats", "-d"}, at...)...)
	lines := func(from, to int) {
		for i := from; i < to; i++ {
			fmt.Fprintf(feed, `{"topic":"t/%d","payload":%d,"qos":1}`+"\n", i%3, i)
		}
	}
	lines(0, 100)
	p.err.until(t, "PUBACK")
	if err := broker.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-broker.ended
	p.err.until(t, "trying again")
	lines(100, 150)
	serve()
	lines(150, 200)
	_ = feed.Close()
	if out := p.wait(t); out.Code != 0 || !strings.HasSuffix(out.Stderr, "iotctl: 200 of 200 messages acknowledged\n") {
		t.Errorf("%+v", out)
	}
	s := own(t, nil, session...)
	s.out.until(t, "t/1 199\n")
	got := s.out.String()
	for i := range 200 {
		if !strings.Contains(got, fmt.Sprintf("t/%d %d\n", i%3, i)) {
			t.Errorf("message %d is lost", i)
		}
	}
}

// A broker that answers slowly makes a schedule late, which is told.
func TestAScheduleThatIsLateIsTold(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	first := true
	server := newScript(t, mqtt.V311, func(p mqtt.Packet) (mqtt.Packet, bool) {
		if _, ok := p.(mqtt.Publish); ok && first {
			first = false
			close(held)
			<-release
		}
		return politely(p)
	})
	p := own(t, nil, "pub", "-p", server.port, "-h", "127.0.0.1", "-q", "1", "-t", "a", "-m", "x", "--rate", "50/s", "--repeat", "120", "--max-inflight", "1", "--stats")
	// The first message is answered when another run of the same schedule is over.
	select {
	case <-held:
	case <-time.After(commandTimeout):
		t.Error("no message comes")
	}
	other := own(t, nil, "pub", "-p", newForgetful(t, mqtt.V311, 0, 0).port, "-h", "127.0.0.1", "-q", "1", "-t", "a", "-m", "x", "--rate", "50/s", "--repeat", "120")
	if out := other.wait(t); out.Code != 0 {
		t.Errorf("%+v", out)
	}
	close(release)
	out := p.wait(t)
	for _, want := range []string{
		"iotctl: warning: more than a second behind the schedule of 50 messages per second\n",
		"iotctl: 120 of 120 messages acknowledged\n",
		"iotctl: warning: behind the schedule: 120 of ",
	} {
		if out.Code != 0 || !strings.Contains(out.Stderr, want) {
			t.Errorf("no %q in %+v", want, out)
		}
	}
}

func TestGeneratedMessagesEndWithTheSignal(t *testing.T) {
	t.Parallel()
	server := newForgetful(t, mqtt.V311, 0, 0)
	p := own(t, nil, "pub", "-p", server.port, "-h", "127.0.0.1", "-q", "1", "-t", "a", "--generate", "{{n}}", "--rate", "100/s", "-d")
	p.err.until(t, "PUBACK")
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if out := p.wait(t); out.Code != 130 || !strings.Contains(out.Stderr, " messages acknowledged\n") {
		t.Errorf("%+v", out)
	}
}

// The examples of the help of pub and of the generators run as they stand; those
// with other hosts and protocols have scripts of their own.
func TestExamplesOfPub(t *testing.T) {
	t.Parallel()
	server := newForgetful(t, mqtt.V5, 0, 0)
	older := newForgetful(t, mqtt.V311, 0, 0)
	dir := t.TempDir()
	for name, text := range map[string]string{"meters.csv": "id,kwh\n1,20.5\n2,30\n", "lines.txt": "a\nb\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for line := range strings.Lines(newPub().Example + "\n" + newGenerators().Example) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "://") {
			continue
		}
		n++
		port := older.port
		if strings.Contains(line, "-V 5") {
			port = server.port
		}
		command := strings.NewReplacer(
			"iotctl pub", "iotctl pub -h 127.0.0.1 --stats -p "+port,
			"iotctl sub", "iotctl sub -h 127.0.0.1 -E -p "+port,
			"--for 30s", "--for 2s", "--rate 1/s", "--rate 100/s",
		).Replace(line)
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if nothing := strings.Contains(string(out), ": 0 of 0 messages"); err != nil || !strings.Contains(string(out), " messages ") || nothing != strings.Contains(line, "iotctl sub") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if n < 10 {
		t.Errorf("only %d examples", n)
	}
}

// What sub prints is what the published schema says.
func TestRecordsOfSubAreWhatTheSchemaSays(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	broker := own(t, nil, "serve", "--listen", "mqtt://127.0.0.1:"+port, "--ephemeral")
	broker.err.until(t, "mqtt://127.0.0.1:"+port)
	at := []string{"-p", port, "-h", "127.0.0.1", "-V", "5"}
	schema := own(t, nil, "schema").wait(t)
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(schema.Stdout), &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	sub := own(t, nil, append([]string{
		"sub", "-t", "#", "-q", "2", "-o", "jsonl", "-C", "8", "-D", "subscribe", "subscription-identifier", "9",
		"--payload", "cbor/#=cbor", "-d",
	}, at...)...)
	sub.err.until(t, "SUBACK")
	input := `{"topic":"a","payload":"x"}
{"topic":"a","payload":{"a": 1.0},"qos":1,"raw":"{\"a\": 1.0}"}
{"topic":"a","payload":"/w==","encoding":"base64","qos":2,"retain":true}
{"topic":"a","payload":""}
{"topic":"cbor/1","payload":"oWFhAQ==","encoding":"base64"}
{"topic":"cbor/2","payload":"/w==","encoding":"base64"}
{"topic":"cbor/3","payload":"wgE=","encoding":"base64"}
{"topic":"p","payload":1,"properties":{"content-type":"a/b","response-topic":"r","correlation-data":"c","payload-format-indicator":1,"message-expiry-interval":60,"user-properties":[{"name":"a","value":"1"},{"name":"a","value":"1"}]}}
`
	if out := own(t, strings.NewReader(input), append([]string{"pub", "--jsonl"}, at...)...).wait(t); out.Code != 0 {
		t.Fatalf("%+v", out)
	}
	out := sub.wait(t)
	n := 0
	for line := range strings.Lines(out.Stdout) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if err := resolved.Validate(v); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		n++
	}
	if n != 8 || !strings.Contains(out.Stdout, `"value":{"a":1}`) || !strings.Contains(out.Stdout, `"problem":`) || !strings.Contains(out.Stdout, `"raw":`) {
		t.Errorf("%d records: %s", n, out.Stdout)
	}
}
