package main

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/bench"
)

// Prometheus gets what the records say so far, until the run is over.
func TestMetricsAreServedDuringARun(t *testing.T) {
	var stderr bytes.Buffer
	o := benchOutputs{listen: "0"}
	l, err := o.start(&terminal{name: "iotctl", err: &stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer l.stop()
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(stderr.String())
	if url == "" {
		t.Fatalf("no address: %s", stderr.String())
	}
	scrape := func() string {
		t.Helper()
		answer, err := http.Get(url) //nolint:noctx // loopback, and the server's time-outs end it
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status, err)
		}
		return string(body)
	}
	l.see(&bench.Header{Plan: bench.Plan{Scenario: "pair", Target: "mqtt://x"}})
	for n := range int64(2) {
		l.see(&bench.Interval{Stage: bench.StageMeasure, Duration: 1e9, Counters: bench.Counters{Sent: 5 + n}, Gauges: bench.Gauges{Connections: 3}})
	}
	text := scrape()
	for _, want := range []string{
		"iotctl_bench_sent_total{scenario=\"pair\",target=\"mqtt://x\"} 11\n",
		"iotctl_bench_connections{scenario=\"pair\",target=\"mqtt://x\"} 3\n",
		"stage=\"measure\"} 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	l.stop()
	if answer, err := http.Get(url); err == nil { //nolint:noctx // refused at once
		answer.Body.Close()
		t.Error("it still answers")
	}
}
