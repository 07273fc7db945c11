package transport_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/iotctl/iotctl/internal/transport"
)

func TestPlainRoundTrip(t *testing.T) {
	for _, url := range []string{"mqtt://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "s"), "ws://127.0.0.1:0"} {
		l, err := transport.Listen(context.Background(), url, transport.ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			for {
				b, n, err := c.ReadWith(func() []byte { return make([]byte, 100) })
				if err != nil {
					return
				}
				c.Write(b[:n])
			}
		}()
		c, err := transport.Dial(context.Background(), l.URL(), transport.DialConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("hello"))
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Fatal(err, b)
		}
	}
}
