//go:build unix

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// wires are the connections of scripts that speak a protocol byte by byte:
//
//	dial NAME ADDRESS [CA]  open one, with TLS when there is a file of an authority
//	say NAME PART…          send the parts: hexadecimal digits, or text behind a =
//	hear NAME PART…         read as many bytes, which have to be these; EOF is the end, and ours
type wires struct {
	mu  sync.Mutex
	all map[string]net.Conn // by name, made absolute: scripts run side by side
}

func (w *wires) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"dial": w.dial, "say": w.say, "hear": w.hear}
}

func (w *wires) dial(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: dial NAME ADDRESS [CA]")
	}
	nc, err := net.DialTimeout("tcp", args[1], servePatience)
	ts.Check(err)
	ts.Defer(func() { _ = nc.Close() })
	if len(args) == 3 {
		pem, err := os.ReadFile(ts.MkAbs(args[2]))
		ts.Check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		nc = tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[ts.MkAbs(args[0])] = nc
}

func (w *wires) find(ts *testscript.TestScript, name string) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	nc := w.all[ts.MkAbs(name)]
	if nc == nil {
		ts.Fatalf("nobody has dialed %s", name)
	}
	_ = nc.SetDeadline(time.Now().Add(servePatience))
	return nc
}

func (w *wires) say(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: say NAME PART…")
	}
	_, err := w.find(ts, args[0]).Write(wireBytes(ts, args[1:]))
	ts.Check(err)
}

func (w *wires) hear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hear NAME PART…")
	}
	nc, parts, end := w.find(ts, args[0]), args[1:], false
	if parts[len(parts)-1] == "EOF" {
		parts, end = parts[:len(parts)-1], true
	}
	want := wireBytes(ts, parts)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		ts.Fatalf("%s hears %q, %v, want %q", args[0], got[:n], err, want)
	}
	if end {
		// A reset is an end as well.
		if n, err := nc.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
			ts.Fatalf("%s is still open", args[0])
		}
		_ = nc.Close()
	}
}

func wireBytes(ts *testscript.TestScript, parts []string) []byte {
	var all []byte
	for _, p := range parts {
		if text, ok := strings.CutPrefix(p, "="); ok {
			all = append(all, text...)
			continue
		}
		b, err := hex.DecodeString(p)
		ts.Check(err)
		all = append(all, b...)
	}
	return all
}
