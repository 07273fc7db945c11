//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
	"github.com/iotctl/iotctl/internal/serve"
)

// eachBroker runs test with mosquitto and with our own broker.
func eachBroker(t *testing.T, test func(t *testing.T, port string)) {
	t.Parallel()
	t.Run("iotctl", func(t *testing.T) { test(t, startOurs(t)) })
	t.Run("mosquitto", func(t *testing.T) { test(t, startBroker(t)) })
}

// startOurs runs iotctl serve until the test ends; args take the place of an open
// listener.
func startOurs(t *testing.T, args ...string) (port string) {
	t.Helper()
	list := filepath.Join(t.TempDir(), "ports")
	if len(args) == 0 {
		args = []string{"--listen", "mqtt://127.0.0.1:0"}
	}
	p := own(t, nil, append([]string{"serve", "--ephemeral", "--ports", list}, args...)...)
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.ended
	})
	var ports []serve.Port
	eventually(t, "the broker does not start", func() bool {
		b, err := os.ReadFile(list)
		return err == nil && json.Unmarshal(b, &ports) == nil && len(ports) > 0
	})
	_, port, _ = strings.Cut(ports[0].Address, ":")
	return port
}

// eventually polls a condition.
func eventually(t *testing.T, complaint string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(commandTimeout); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}

// startRecord returns when the broker has answered the subscription.
func startRecord(t *testing.T, port string, args ...string) *process {
	t.Helper()
	p := own(t, nil, append([]string{"record", "mqtt://127.0.0.1:" + port, "-d"}, args...)...)
	p.err.until(t, "SUBACK")
	return p
}

// succeed runs the program to its end, which is 0.
func succeed(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	out := own(t, strings.NewReader(stdin), args...).wait(t)
	if out.Code != 0 {
		t.Fatalf("%v: %+v", args, out)
	}
	return out
}

// readRecorded reads a recording, without what differs from one to the next.
func readRecorded(t *testing.T, name string) []recording.Item {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := dissectors()
	if err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(f, recording.Options{Dissectors: all})
	if err != nil {
		t.Fatal(err)
	}
	var items []recording.Item
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		item.Payload, item.Properties = slices.Clone(item.Payload), sortedProperties(item.Properties)
		item.Time, item.PacketID = time.Time{}, 0
		items = append(items, item)
	}
}

// everything are messages of all kinds, as lines for pub --jsonl.
const everything = `{"topic":"s/zero","qos":0,"payload":"zero"}
{"topic":"s/retained","qos":1,"retain":true,"properties":{"payload-format-indicator":1,"content-type":"application/json","response-topic":"s/reply","correlation-data":{"encoding":"base64","data":"AP8K"},"user-properties":[{"name":"k","value":"1"},{"name":"","value":""},{"name":"a","value":"ü"},{"name":"k","value":"2"}]},"encoding":"json","payload":{"n":1.0},"raw":"{\"n\": 1.0}"}
{"topic":"s/binary","qos":2,"encoding":"base64","payload":"AP8KDQ=="}
{"topic":"s/empty","qos":1,"payload":""}
{"topic":"s/ü space","qos":2,"retain":true,"payload":"with\nnewline"}
{"topic":"s/number","qos":0,"retain":true,"encoding":"json","payload":12345678901234567890.50}
`

// What is recorded is published as it was: in both forms, by both brokers.
func TestRecordedMessagesAreReplayedAsTheyWere(t *testing.T) {
	eachBroker(t, func(t *testing.T, port string) {
		dir := t.TempDir()
		url := "mqtt://127.0.0.1:" + port
		recordBoth := func(name string, publish func()) {
			t.Helper()
			succeed(t, "", "retained", "clear", url, "s/#", "--yes")
			var runs []*process
			for _, ext := range []string{".jsonl", ".pcapng"} {
				runs = append(runs, startRecord(t, port, "-t", "s/#", "-w", filepath.Join(dir, name+ext), "-C", "6"))
			}
			publish()
			for _, r := range runs {
				if out := r.wait(t); out.Code != 0 || !strings.Contains(out.Stderr, "iotctl: 6 messages recorded, ") {
					t.Fatalf("%s: %+v", name, out)
				}
			}
		}
		recordBoth("first", func() { succeed(t, everything, "pub", url, "-V", "5", "--jsonl") })
		first := readRecorded(t, filepath.Join(dir, "first.jsonl"))
		if len(first) != 6 || first[1].Topic != "s/retained" || !first[1].Retain || first[1].QoS != 1 || string(first[1].Payload) != `{"n": 1.0}` {
			t.Fatalf("%+v", first)
		}
		names := []string{"first.pcapng"}
		for _, from := range []string{"first.jsonl", "first.pcapng"} {
			name := "again-" + from[6:]
			recordBoth(name, func() {
				out := succeed(t, "", "replay", filepath.Join(dir, from), url, "--speed", "max")
				if !strings.Contains(out.Stderr, "iotctl: 6 of 6 messages acknowledged or, at QoS 0, sent, ") {
					t.Errorf("%s: %+v", from, out)
				}
			})
			names = append(names, name+".jsonl", name+".pcapng")
		}
		for _, name := range names {
			if diff := cmp.Diff(first, readRecorded(t, filepath.Join(dir, name)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: -first +now:\n%s", name, diff)
			}
		}
	})
}

// A capture of record is one that tshark and iotctl decode read.
func TestRecordedCapturesOpenInOtherPrograms(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
	port := startOurs(t)
	name := filepath.Join(t.TempDir(), "a.pcapng")
	r := startRecord(t, port, "-t", "s/#", "-w", name, "-C", "6", "-u", "ann", "-P", "hunter2")
	succeed(t, everything, "pub", "mqtt://127.0.0.1:"+port, "-V", "5", "--jsonl")
	if out := r.wait(t); out.Code != 0 {
		t.Fatalf("%+v", out)
	}
	out, err := exec.Command("tshark", "-r", name, "-Y", "mqtt.msgtype == 3", "-T", "fields", "-e", "mqtt.topic", "-e", "mqtt.qos").Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = "s/zero\t0\ns/retained\t1\ns/binary\t2\ns/empty\t1\ns/ü space\t2\ns/number\t0\n"
	if string(out) != want {
		t.Errorf("tshark: %s", out)
	}
	out, err = exec.Command("tshark", "-r", name, "-Y", "_ws.malformed || mqtt.passwd || mqtt.username || tcp.analysis.flags").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("tshark: %s, %v", out, err)
	}
	decoded := own(t, nil, "decode", name, "--filter", "PUBLISH").wait(t)
	if n := strings.Count(decoded.Stdout, " PUBLISH "); n != 6 {
		t.Errorf("decode: %d\n%s", n, decoded.Stdout)
	}
	if b, err := os.ReadFile(name); err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("the password is there, %v", err)
	}
}

// A kill loses what was not acknowledged, which a session has kept, and cuts one line
// at most.
func TestARecordThatIsKilledIsGoneOnWith(t *testing.T) {
	eachBroker(t, func(t *testing.T, port string) {
		const n = 900 // which a queue takes
		name := filepath.Join(t.TempDir(), "a.jsonl")
		args := []string{"-i", "recorder", "-c", "-t", "s/#", "-w", name}
		r := startRecord(t, port, append(args, "-q", "1")...)
		in, feed := pipe(t)
		pub := own(t, in, "pub", "-p", port, "-h", "127.0.0.1", "-q", "1", "-t", "s/lines", "-l")
		line := func(i int) { fmt.Fprintf(feed, "%d\n", i) }
		for i := range n / 2 {
			line(i)
		}
		eventually(t, "nothing is recorded", func() bool {
			info, err := os.Stat(name)
			return err == nil && info.Size() > 5_000
		})
		_ = r.cmd.Process.Kill()
		<-r.ended
		for i := n / 2; i < n; i++ {
			line(i)
		}
		_ = feed.Close()
		if out := pub.wait(t); out.Code != 0 {
			t.Fatalf("%+v", out)
		}
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// What another kill would have left: a line without its end.
		half := before[:strings.LastIndexByte(strings.TrimSuffix(string(before), "\n"), '\n')+10]
		if err := os.WriteFile(name, half, 0o600); err != nil {
			t.Fatal(err)
		}
		whole := strings.Count(string(half), "\n")
		r = own(t, nil, append([]string{"record", "mqtt://127.0.0.1:" + port, "-q", "1", "--append"}, args...)...)
		eventually(t, "the rest is not recorded", func() bool {
			b, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(b), fmt.Sprintf(`"payload":%d}`, n-1))
		})
		_ = r.cmd.Process.Signal(syscall.SIGINT)
		if out := r.wait(t); out.Code != 130 || !strings.Contains(out.Stderr, "the last 9 bytes are not whole, and go") || !strings.Contains(out.Stderr, " messages recorded, ") {
			t.Errorf("%+v", out)
		}
		seen := map[string]bool{}
		for i, item := range readRecorded(t, name) {
			if item.Gap == nil {
				seen[string(item.Payload)] = true
			}
			if i < whole-1 && string(item.Payload) != fmt.Sprint(i) {
				t.Fatalf("line %d is %s", i+1, item.Payload)
			}
		}
		lost := 0
		for i := range n {
			if !seen[fmt.Sprint(i)] {
				lost++
			}
		}
		if lost > 1 { // that of the line which the test has cut
			t.Errorf("%d of %d lines are missing", lost, n)
		}
	})
}

// A recording says when nobody listened, and whether something can be missing.
func TestRecordTellsOfGaps(t *testing.T) {
	t.Parallel()
	path := mosquitto(t)
	port := freePort(t)
	broker := startBrokerOn(t, path, port)
	if broker == nil {
		t.Skip("the port was taken")
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "a.pcapng")}
	var runs []*process
	for _, name := range files {
		runs = append(runs, startRecord(t, port, "-t", "s/#", "-w", name, "-C", "2"))
	}
	url := "mqtt://127.0.0.1:" + port
	succeed(t, "", "pub", url, "-t", "s/a", "-m", "before", "-q", "1")
	for _, r := range runs {
		r.err.until(t, "s/a")
	}
	_ = broker.Process.Kill()
	for _, r := range runs {
		r.err.until(t, "trying again in")
	}
	eventually(t, "the broker does not come back", func() bool { return startBrokerOn(t, path, port) != nil })
	for _, r := range runs {
		r.err.until(t, "subscribed again")
	}
	succeed(t, "", "pub", url, "-t", "s/a", "-m", "after", "-q", "1")
	for i, r := range runs {
		out := r.wait(t)
		if out.Code != 0 || !strings.Contains(out.Stderr, "the connection was down 1 time, for ") || !strings.Contains(out.Stderr, "messages may be missing") {
			t.Errorf("%s: %+v", files[i], out)
		}
		items := readRecorded(t, files[i])
		if len(items) != 3 || items[1].Gap == nil || items[1].Gap.Kept || !items[1].Gap.To.After(items[1].Gap.From) {
			t.Fatalf("%s: %+v", files[i], items)
		}
		plan := succeed(t, "", "replay", files[i], "--dry-run")
		if !strings.Contains(plan.Stdout, "gap  not connected for ") || !strings.Contains(plan.Stderr, "1 gap in the recording") {
			t.Errorf("%+v", plan)
		}
	}
}

func TestReplayTellsWhenItFallsBehind(t *testing.T) {
	t.Parallel()
	slow := true
	server := newScript(t, mqtt.V5, func(p mqtt.Packet) (mqtt.Packet, bool) {
		if _, ok := p.(mqtt.Publish); ok && slow {
			slow = false
			time.Sleep(4 * recording.Tolerated) // a slow broker is what is tested
		}
		return politely(p)
	})
	lines := strings.Repeat(`{"time":"2026-01-02T03:04:05Z","topic":"a","qos":1,"payload":"x"}`+"\n", 4)
	p := own(t, strings.NewReader(lines), "replay", "-", "-p", server.port, "-h", "127.0.0.1", "-M", "1")
	out := p.wait(t)
	behind := regexp.MustCompile(`iotctl: warning: fell behind: [1-4] of 4 messages went out more than 100ms late, the latest `)
	if out.Code != 0 || !strings.Contains(out.Stderr, "iotctl: 4 of 4 messages acknowledged, ") || !behind.MatchString(out.Stderr) {
		t.Errorf("%+v", out)
	}
}

func TestReplayEndsTruthfully(t *testing.T) {
	t.Parallel()
	const line = `{"topic":"a","qos":1,"payload":"x"}` + "\n"
	for _, tt := range []struct {
		name, input string
		answer      func(p mqtt.Publish) (mqtt.Packet, bool)
		code        exitCode
		want        string
	}{
		{"refused", line + line, func(p mqtt.Publish) (mqtt.Packet, bool) {
			return mqtt.Puback{PacketID: p.PacketID, Code: mqtt.NotAuthorized}, false
		}, exitPublishRefused, "the broker refused 2 of 2 messages"},
		{"not acknowledged", line, func(mqtt.Publish) (mqtt.Packet, bool) { return nil, true }, exitUnacknowledged, "1 of 1 messages not acknowledged"},
		{"malformed", line + "nonsense\n" + line, nil, exitMalformed, "standard input: line 2: "},
		{"cut", line + `{"topic":"a","qos":1,"pay`, nil, exitOK, "standard input is cut, all before that was taken: line 2: "},
		{"no recording", "hello\n", nil, exitMalformed, "neither a capture nor lines of JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newScript(t, mqtt.V5, func(p mqtt.Packet) (mqtt.Packet, bool) {
				if m, ok := p.(mqtt.Publish); ok && tt.answer != nil {
					return tt.answer(m)
				}
				return politely(p)
			})
			out := own(t, strings.NewReader(tt.input), "replay", "-", "-p", server.port, "-h", "127.0.0.1", "--reconnect", "never").wait(t)
			if out.Code != int(tt.code) || !strings.Contains(out.Stderr, tt.want) {
				t.Errorf("%+v, want %d, %q", out, tt.code, tt.want)
			}
		})
	}
}
