//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestProxyToolScripts runs the scripts about what proxy shows, records and breaks.
// They have broker, ports, await, signal and exits, and
//
//	ask METHOD PATH BODY PATTERN  ask the socket "control"; PATTERN is for the answer,
//	                              which GET waits for
func TestProxyToolScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/proxytools*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.Contains(f, "mosquitto") })
	runScripts(t, files, map[string]func(*testscript.TestScript, bool, []string){
		"broker": scriptBroker,
		"ports":  scriptPorts,
		"await":  scriptAwait,
		"signal": scriptSignal,
		"exits":  scriptExits,
		"ask":    scriptAsk,
	})
}

// TestProxyToolsWithMosquitto runs a script with another broker, at $URLA, and a
// second one, at $URLB.
func TestProxyToolsWithMosquitto(t *testing.T) {
	first, second := startBroker(t), startBroker(t)
	runScripts(t, []string{"testdata/script/proxytools_mosquitto.txtar"}, map[string]func(*testscript.TestScript, bool, []string){
		"brokers": func(ts *testscript.TestScript, _ bool, _ []string) {
			ts.Setenv("URLA", "mqtt://127.0.0.1:"+first)
			ts.Setenv("URLB", "mqtt://127.0.0.1:"+second)
		},
		"ports": func(ts *testscript.TestScript, neg bool, args []string) {
			scriptPorts(ts, neg, args)
			_, port, _ := strings.Cut(ts.Getenv("ADDR1"), ":")
			ts.Setenv("PORT", port)
		},
		"signal": scriptSignal,
		"exits":  scriptExits,
	})
}

func scriptAsk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: ask METHOD PATH BODY PATTERN")
	}
	socket := ts.MkAbs("control")
	await(ts, socket)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	pattern := regexp.MustCompile(args[3])
	for deadline := time.Now().Add(servePatience); ; time.Sleep(5 * time.Millisecond) {
		r, err := http.NewRequestWithContext(context.Background(), args[0], "http://proxy"+args[1], strings.NewReader(args[2]))
		ts.Check(err)
		r.Header.Set("Content-Type", "application/json")
		res, err := tr.RoundTrip(r)
		ts.Check(err)
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		ts.Check(err)
		if pattern.Match(b) {
			return
		}
		if args[0] != http.MethodGet || time.Now().After(deadline) {
			ts.Fatalf("%s %s: %d %s", args[0], args[1], res.StatusCode, b)
		}
	}
}
