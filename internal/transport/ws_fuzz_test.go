package transport

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gobwas/ws"
)

// FuzzWebSocketReader cuts the same input in different places; the payload, the
// control frames and the error must not depend on it.
func FuzzWebSocketReader(f *testing.F) {
	f.Add(append(masked(ws.OpBinary, false, []byte("abc")), masked(ws.OpContinuation, true, []byte("d"))...), uint8(1))
	f.Add(append(masked(ws.OpPing, true, []byte("p")), masked(ws.OpBinary, true, make([]byte, 300))...), uint8(3))
	f.Add(masked(ws.OpText, true, []byte("text")), uint8(2))
	f.Fuzz(func(t *testing.T, wire []byte, size uint8) {
		run := func(size int) (payload []byte, controls int, err error) {
			var r wsReader
			for rest := bytes.Clone(wire); len(rest) > 0 && err == nil; {
				part := rest[:min(size, len(rest))]
				rest = rest[len(part):]
				var n int
				n, err = r.decode(part, func(_ ws.OpCode, p []byte) error {
					if len(p) > maxControl {
						t.Fatal("long control frame")
					}
					controls++
					return nil
				})
				payload = append(payload, part[:n]...)
			}
			return payload, controls, err
		}
		p1, c1, e1 := run(max(len(wire), 1))
		p2, c2, e2 := run(int(size) + 1)
		if !bytes.Equal(p1, p2) || c1 != c2 || fmt.Sprint(e1) != fmt.Sprint(e2) {
			t.Fatalf("%q %d %v, cut: %q %d %v", p1, c1, e1, p2, c2, e2)
		}
	})
}
