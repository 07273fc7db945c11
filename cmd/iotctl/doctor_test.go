//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/doctor"
	"github.com/iotctl/iotctl/internal/serve"
)

// What programs read keeps its form.
func TestDoctorJSONIsStable(t *testing.T) {
	r := &doctor.Report{
		URL: "mqtts://h:8883", Prefix: "iotctl/doctor/01234567", Version: mqtt.V5,
		Started: time.Date(2026, 11, 22, 3, 4, 5, 600, time.UTC), Took: 1500 * time.Microsecond,
		Results: []doctor.Result{
			{Check: "dns", Verdict: doctor.OK, Summary: "h is ::1 (IPv6 only)", Took: time.Millisecond, Figures: []doctor.Figure{{Name: "addresses", Value: []string{"::1"}}, {Name: "ipv4", Value: 0}}},
			{Check: "tls", Verdict: doctor.Failed, Summary: "the certificate expired", Details: []string{"TLS 1.3"}, Hint: "renew <it>", Cause: doctor.TLS},
			{Check: "qos0", Verdict: doctor.Skipped, Summary: "because of tls"},
		},
	}
	var b bytes.Buffer
	if err := writeDoctorJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	want := `{
  "doctor": 1,
  "url": "mqtts://h:8883",
  "prefix": "iotctl/doctor/01234567",
  "mqtt_version": "5.0",
  "verdict": "failed",
  "started": "2026-11-22T03:04:05.0000006Z",
  "took_ms": 1.5,
  "checks": [
    {
      "check": "dns",
      "verdict": "ok",
      "summary": "h is ::1 (IPv6 only)",
      "took_ms": 1,
      "figures": {
        "addresses": [
          "::1"
        ],
        "ipv4": 0
      }
    },
    {
      "check": "tls",
      "verdict": "failed",
      "summary": "the certificate expired",
      "details": [
        "TLS 1.3"
      ],
      "hint": "renew <it>",
      "cause": "tls",
      "took_ms": 0
    },
    {
      "check": "qos0",
      "verdict": "skipped",
      "summary": "because of tls",
      "took_ms": 0
    }
  ]
}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if !json.Valid(b.Bytes()) {
		t.Error("that is no JSON")
	}
}

func TestDoctorTextFoldsAndColours(t *testing.T) {
	long := strings.Repeat("word ", 30) + strings.Repeat("x", 150)
	results := []doctor.Result{
		{Check: "dns", Verdict: doctor.OK, Summary: long, Details: []string{long}, Hint: long},
		{Check: "qos0", Verdict: doctor.Skipped, Summary: "because of dns"},
		{Check: "qos1", Verdict: doctor.Skipped, Summary: "because of dns"},
		{Check: "qos2", Verdict: doctor.Failed, Summary: "no"},
	}
	for _, colour := range []bool{false, true} {
		var b bytes.Buffer
		v := &doctorView{t: &terminal{out: &b, colorOut: colour}, target: "mqtt://h"}
		v.begin()
		for _, r := range results {
			v.result(r)
		}
		if err := v.end(&doctor.Report{Results: results}); err != nil {
			t.Error(err)
		}
		plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(b.String(), "")
		for line := range strings.Lines(plain) {
			if len(line) > doctorWidth+1 {
				t.Errorf("%d columns: %s", len(line)-1, line)
			}
		}
		if colour != (plain != b.String()) {
			t.Errorf("colour %v: %q", colour, b.String())
		}
		if !strings.Contains(plain, "skipped  2 checks   because of dns: qos0, qos1\nfailed   qos2       no\n\n1 ok, 0 warnings, 1 failed, 2 skipped, in 0.0 s\n") {
			t.Error(plain)
		}
	}
}

func TestDoctorExitCodes(t *testing.T) {
	for cause, want := range map[doctor.Cause]exitCode{
		doctor.Network: 3, doctor.TLS: 3, doctor.WebSocket: 3, doctor.Refused: 4, doctor.Lost: 7, doctor.Publish: 8,
		doctor.Subscribe: 9, doctor.Timeout: 27, doctor.Stopped: 27, doctor.Protocol: 1,
	} {
		err := failDoctor(&doctor.Report{Results: []doctor.Result{{Check: "a", Verdict: doctor.Warning}, {Check: "b", Verdict: doctor.Failed, Cause: cause}}})
		if codeOf(err) != want {
			t.Errorf("%s: %d", cause, codeOf(err))
		}
	}
	if err := failDoctor(&doctor.Report{Results: []doctor.Result{{Check: "a", Verdict: doctor.Warning}}}); err != nil {
		t.Error(err)
	}
}

// The README shows what is printed, figures aside.
func TestReadmeShowsWhatDoctorPrints(t *testing.T) {
	shown := ""
	for _, b := range readmeBlocks(t) {
		if b.language == "text" && strings.HasPrefix(b.lines[0], "$ iotctl doctor ") {
			shown = strings.Join(b.lines[1:], "\n") + "\n"
		}
	}
	if shown == "" {
		t.Fatal("the README shows no output of doctor")
	}
	list := filepath.Join(t.TempDir(), "ports")
	server := exec.Command("iotctl", "serve", "--ephemeral", "--ports", list, "--listen", "mqtt://127.0.0.1:0")
	server.Env = append(server.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "XDG_STATE_HOME="+t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	var ports []serve.Port
	for deadline := time.Now().Add(readmePatience); ; time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(list)
		if err == nil && json.Unmarshal(b, &ports) == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the broker does not start")
		}
	}
	out, err := exec.Command("iotctl", "doctor", "--no-defaults", ports[0].URL).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(withoutFigures(shown), withoutFigures(string(out))); diff != "" {
		t.Errorf("the README shows another output (-README +output):\n%s", diff)
	}
}

// Ctrl-C ends a run in which nobody answers, in order.
func TestDoctorIsInterrupted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command("iotctl", "doctor", "--no-defaults", "mqtt://"+l.Addr().String(), "--only", "connect,qos")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(readmePatience))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(readmePatience))
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil { // CONNECT
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if s := out.String(); !strings.Contains(s, "failed   connect5   not finished: interrupted\n") || !strings.Contains(s, "interrupted: connect311, connect31, qos0, qos1, qos2\n") {
		t.Error(s)
	}
}

// What mosquitto limits is found out, stated or not.
func TestDoctorAtALimitedMosquitto(t *testing.T) {
	port := startBroker(t, "message_size_limit 3000", "max_qos 1", "retain_available false", "max_topic_alias 0", "allow_zero_length_clientid false")
	for version, want := range map[string][]string{
		"5": {
			"warning  limits     maximum QoS 1; no retained messages\n", "skipped  qos2       the server states that it accepts at most QoS 1\n",
			"skipped  retained   the server states that it keeps none\n", "ok       packet     30", "; an empty one is not taken\n",
		},
		"311": { // its servers can but close the connection, or drop what is too long
			"failed   qos2       the server closed the connection\n", "failed   retained   the server closed the connection\n", "ok       packet     30",
			"ok       cleanup    nothing is left behind\n",
		},
	} {
		out, err := exec.Command("iotctl", "doctor", "--no-defaults", "mqtt://127.0.0.1:"+port, "-V", version, "--skip", "sys,topic").Output()
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s: no %q in %v\n%s", version, w, err, out)
			}
		}
	}
}

// withoutFigures is a text without its figures and its breaks of lines.
func withoutFigures(s string) string {
	s = regexp.MustCompile(`iotctl version \S+`).ReplaceAllString(s, "iotctl version V")
	s = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`).ReplaceAllString(s, "N")
	return regexp.MustCompile(`\n {20}`).ReplaceAllString(s, " ")
}
