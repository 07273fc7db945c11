//go:build unix

package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	"github.com/iotctl/iotctl/internal/transport"
)

// wire is a device's end of a connection. It knows no protocol.
type wire struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader // holds a datagram of any size
}

// dial connects to a listener as its URL says.
func (g *grounds) dial(t *testing.T, listener, url string) *wire {
	t.Helper()
	nc, err := dialScheme(url, g.open[listener], filepath.Join(g.dir, "ca.pem"))
	if err != nil {
		t.Fatalf("%s: %v", listener, err)
	}
	t.Cleanup(func() { nc.Close() })
	return &wire{t, nc, bufio.NewReaderSize(nc, 1<<16)}
}

func dialScheme(url, address, ca string) (net.Conn, error) {
	scheme, _, _ := strings.Cut(url, ":")
	switch {
	case strings.HasSuffix(scheme, "+udp"):
		return net.Dial("udp", address)
	case strings.HasSuffix(scheme, "+dtls"):
		return transport.Dial(context.Background(), scheme+"://"+address, transport.DialConfig{
			Schemes: exproto.Schemes(), Timeout: patience, TLS: &transport.ClientTLS{CAFile: ca},
		})
	case certificateFor(url) != "":
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{RootCAs: roots}}
		return d.Dial("tcp", address)
	}
	return net.DialTimeout("tcp", address, patience)
}

func (w *wire) say(b []byte) {
	w.t.Helper()
	_ = w.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := w.nc.Write(b); err != nil {
		w.t.Fatalf("write % x: %v", b, err)
	}
}

// hear wants exactly these bytes next.
func (w *wire) hear(want []byte) {
	w.t.Helper()
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	n, err := io.ReadFull(w.r, got)
	if err != nil || !bytes.Equal(got, want) {
		w.t.Fatalf("received % x (%q), %v; want % x", got[:n], got[:n], err, want)
	}
}

// closed wants these bytes and then the end of the connection, which the device
// closes in turn: the server waits for that a while.
func (w *wire) closed(want []byte) {
	w.t.Helper()
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(w.r)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		w.t.Fatalf("still connected, received % x (%q)", got, got)
	}
	if !bytes.Equal(got, want) {
		w.t.Fatalf("received % x (%q) before the end, want % x", got, got, want)
	}
	w.nc.Close()
}

// unhex reads what a table of a specification prints.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}
