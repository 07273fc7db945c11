//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
)

// A broker that refuses is believed, and one that says yes and does nothing is found
// out.
func TestRefusedClearsAndRestoresAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"acl":    "user ann\ntopic read #\ntopic readwrite free/#\n\nuser admin\ntopic readwrite #\n",
		"c.yaml": "listeners: [{url: 'mqtt://127.0.0.1:0'}]\nauth: {password_file: passwords, acl_file: acl}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, user := range []string{"ann", "admin"} {
		if err := passwordfile.Put(filepath.Join(dir, "passwords"), user, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	address := "127.0.0.1:" + startOurs(t, "-c", filepath.Join(dir, "c.yaml"))
	url, admin := "mqtt://ann:x@"+address, "mqtt://admin:x@"+address
	file := filepath.Join(t.TempDir(), "saved")
	for _, topic := range []string{"free/1", "kept/1", "kept/2"} {
		succeed(t, "", "pub", admin, "-q", "1", "-r", "-t", topic, "-m", "x")
	}
	succeed(t, "", "retained", "dump", url, "#", "-w", file)
	for version, want := range map[string]string{"5": `"kept/1": not authorized (0x87)`, "311": `"kept/1": is still there: `} {
		out := own(t, nil, "retained", "clear", url, "#", "--yes", "-V", version).wait(t)
		if out.Code != int(exitPublishRefused) || !strings.Contains(strings.ToLower(out.Stderr), want) || !strings.Contains(out.Stderr, "2 of ") {
			t.Errorf("%s: %+v", version, out)
		}
	}
	succeed(t, "", "retained", "clear", admin, "kept/#", "--yes")
	for version, want := range map[string]string{"5": `"kept/1": not authorized (0x87)`, "311": `"kept/1": is not there as it was published: `} {
		out := own(t, nil, "retained", "restore", file, url, "--yes", "-V", version).wait(t)
		if out.Code != int(exitPublishRefused) || !strings.Contains(strings.ToLower(out.Stderr), want) {
			t.Errorf("%s: %+v", version, out)
		}
	}
	if out := own(t, nil, "get", url, "free/1").wait(t); out.Code != 0 {
		t.Errorf("%+v", out)
	}
}

// mosquitto drops what is above QoS 0 and does not fit into its queue, even of
// retained messages; none is missing all the same.
func TestAllRetainedMessagesAreFoundBehindAShortQueue(t *testing.T) {
	t.Parallel()
	const n = 2500
	for name, url := range map[string]string{
		"mosquitto": "mqtt://127.0.0.1:" + startBroker(t, "max_queued_messages 1000", "max_inflight_messages 20"),
		"iotctl":    "mqtt://127.0.0.1:" + startOurs(t),
	} {
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, `{"topic":"r/%04d","qos":%d,"retain":true,"payload":"%d"}`+"\n", i, i%3, i)
		}
		succeed(t, lines.String(), "pub", url, "--jsonl")
		file := filepath.Join(t.TempDir(), "saved")
		succeed(t, "", "retained", "dump", url, "r/#", "-w", file)
		items := readRecorded(t, file)
		if len(items) != n {
			t.Fatalf("%s: %d of %d", name, len(items), n)
		}
		for i, item := range items {
			if item.Topic != fmt.Sprintf("r/%04d", i) || item.QoS != uint8(i%3) || string(item.Payload) != fmt.Sprint(i) {
				t.Fatalf("%s: %d: %+v", name, i, item.Message)
			}
		}
		shown := succeed(t, "", "get", url, "r/#", "--all", "-F", "%t")
		if got := strings.Count(shown.Stdout, "r/"); got != n {
			t.Errorf("%s: get --all prints %d of %d", name, got, n)
		}
		out := succeed(t, "", "retained", "clear", url, "r/#", "--yes")
		if !strings.Contains(out.Stderr, "2500 retained messages cleared") {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// A broker without the topic of the fence is waited for, and nothing longer.
func TestGetWaitsForABrokerWithoutAFence(t *testing.T) {
	t.Parallel()
	for _, refuses := range []bool{true, false} {
		for _, late := range []bool{true, false} { // the message comes on its own, after SUBACK
			server := newScript(t, mqtt.V5, func(p mqtt.Packet) (mqtt.Packet, bool) {
				s, ok := p.(mqtt.Subscribe)
				if !ok {
					return politely(p)
				}
				ack := mqtt.Suback{PacketID: s.PacketID, Codes: make([]mqtt.ReasonCode, len(s.Filters))}
				if refuses {
					ack.Codes[len(ack.Codes)-1] = mqtt.NotAuthorized
				}
				if !late {
					return ack, false
				}
				return inTurn{ack, mqtt.Publish{Topic: []byte("a"), Payload: []byte("x"), Retain: true}}, false
			})
			out := own(t, nil, "get", "a", "-p", server.port, "-h", "127.0.0.1").wait(t)
			if want := map[bool]int{true: 0, false: int(exitNothing)}[late]; out.Code != want {
				t.Errorf("refuses %v, late %v: %+v", refuses, late, out)
			}
		}
	}
}

// What a network, or a machine, has held back for longer than --grace is not missed.
func TestGetAsksAgainBeforeItSaysThatThereIsNothing(t *testing.T) {
	t.Parallel()
	server := newScript(t, mqtt.V5, func(p mqtt.Packet) (mqtt.Packet, bool) {
		u, ok := p.(mqtt.Unsubscribe)
		if !ok {
			return politely(p)
		}
		ack := mqtt.Unsuback{PacketID: u.PacketID, Codes: make([]mqtt.ReasonCode, len(u.Filters))}
		return inTurn{mqtt.Publish{Topic: []byte("a"), Payload: []byte("x"), Retain: true}, ack}, false
	})
	out := own(t, nil, "get", "a", "-p", server.port, "-h", "127.0.0.1", "--grace", "1ms").wait(t)
	if out.Code != 0 || out.Stdout != "x\n" {
		t.Errorf("%+v", out)
	}
}

// Topics that were meant for sub, in a profile or the environment, are not cleared.
func TestOnlyTheCommandLineSaysWhatIsCleared(t *testing.T) {
	t.Parallel()
	config := t.TempDir()
	profiles := filepath.Join(config, "iotctl", "profiles")
	if err := os.MkdirAll(profiles, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"topics": "topic: ['#']\n", "sure": "yes: true\n"} {
		if err := os.WriteFile(filepath.Join(profiles, name+".yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := startOurs(t)
	for _, topic := range []string{"a", "b", "c", "d"} {
		succeed(t, "", "pub", "-p", port, "-q", "1", "-r", "-t", topic, "-m", topic)
	}
	for _, tt := range []struct {
		args []string
		code exitCode
		want string
	}{
		{[]string{"retained", "clear", "--profile", "topics", "--yes"}, exitUsage, "which topics?"},
		{[]string{"retained", "clear", "--profile", "sure", "a"}, exitUsage, "yes"},
		{[]string{"retained", "clear", "--profile", "topics", "a", "--yes"}, 0, "1 retained message cleared"},
		{[]string{"retained", "clear", "--profile", "topics", "-t", "b", "--yes"}, 0, "1 retained message cleared"},
		{[]string{"retained", "ls", "--profile", "topics", "c"}, 0, "1 retained message,"},
		{[]string{"retained", "ls", "--profile", "topics"}, 0, "2 retained messages,"},
		{[]string{"get", "--profile", "topics", "d"}, 0, ""},
		{[]string{"get", "--profile", "topics", "a"}, exitNothing, "nothing is retained"},
	} {
		cmd := exec.Command("iotctl", append(tt.args, "-p", port)...)
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+config)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if cmd.ProcessState.ExitCode() != int(tt.code) || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%v: code %d\n%s", tt.args, cmd.ProcessState.ExitCode(), stderr.String())
		}
	}
	cmd := exec.Command("iotctl", "retained", "clear", "c", "--yes", "-p", port)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME=/nonexistent", "IOTCTL_TOPIC=#")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 retained message cleared") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A dump that cannot be made leaves the one before alone.
func TestADumpOfNobodyReplacesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "saved")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := own(t, nil, "retained", "dump", "mqtt://127.0.0.1:1", "#", "-w", file, "--overwrite").wait(t)
	if out.Code != int(exitConnect) {
		t.Errorf("%+v", out)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// A signal at the question is the answer no.
func TestAnInterruptedQuestionClearsNothing(t *testing.T) {
	t.Parallel()
	port := startOurs(t)
	succeed(t, "", "pub", "-p", port, "-q", "1", "-r", "-t", "a", "-m", "x")
	p := newPane(t, 100, 30)
	p.run("iotctl retained clear a -p " + port)
	p.shows("[y/N]")
	p.press("C-c")
	p.shows("nothing was cleared")
	p.back(130)
	succeed(t, "", "get", "-p", port, "a")
}

// inTurn are packets that a server sends at once.
type inTurn []mqtt.Packet

func (inTurn) Type() mqtt.Type       { return mqtt.TypeSuback }
func (inTurn) Size(mqtt.Version) int { return 0 }

func (all inTurn) Append(dst []byte, v mqtt.Version) (_ []byte, err error) {
	for _, p := range all {
		if dst, err = p.Append(dst, v); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func TestStampsOfPublishersAreRead(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, tt := range []struct {
		name, value string
		age         time.Duration
	}{
		{"time", "2026-03-04T05:06:00Z", 7 * time.Second},
		{"TimeStamp", "1772600760", 7 * time.Second},
		{"ts", "1772600760000", 7 * time.Second},
		{"__ts", "1772600760000:00001:client", 7 * time.Second},
		{"ts", "2027-01-01T00:00:00Z", -1}, // in the future
		{"ts", "yesterday", -1},
		{"ts", "NaN", -1},
		{"when", "1772600760", -1},
	} {
		m := recording.Message{Time: now, Properties: mqtt.Properties(nil).AppendUserProperty(tt.name, tt.value)}
		if got := rowOf(&m).age; got != tt.age {
			t.Errorf("%s %s: %v, want %v", tt.name, tt.value, got, tt.age)
		}
	}
	for d, want := range map[time.Duration]string{-1: "-", 0: "0s", 59 * time.Second: "59s", time.Minute: "1m0s", 3*time.Hour + time.Minute: "3h1m", 49 * time.Hour: "2d1h"} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
