package gateway

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// TestPanicWhileEncodingEndsThatConnectionAlone: neither that of the publisher,
// on whose goroutine it happens, nor anybody who has to do with the receiver is
// held up.
func TestPanicWhileEncodingEndsThatConnectionAlone(t *testing.T) {
	letters := transport.Scheme{Name: "letters", Protocol: "letters", Network: "tcp", Port: 1}
	b, addr, log := lettersAt(t, letters, nil)
	says := func(say, want string) io.Reader {
		t.Helper()
		nc, err := transport.Dial(t.Context(), "letters://"+addr, transport.DialConfig{Schemes: []transport.Scheme{letters}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(nc, say)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		return nc
	}
	stumbles := says("as", "aS")
	publishTo(t, b, "1", "!", "2")
	if got, err := io.ReadAll(stumbles); string(got) != "1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	publishTo(t, b, "3")
	says("as", "aS") // the same client takes over
	if !strings.Contains(log.String(), "unspeakable") {
		t.Error(log)
	}
}
